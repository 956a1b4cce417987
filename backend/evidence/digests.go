package evidence

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"ingot/backend/fetch"
	"ingot/backend/home"
)

// Digests knows the SHA-256 of files without reading them again while their
// identity (inode, size, change time) stays. The change time is the kernel's:
// no write to the file leaves it as it was. Methods may be called from several
// goroutines.
type Digests struct {
	mu    sync.Mutex
	path  string
	known map[string]stamp
	dirty bool
}

// stamp is a file's identity with the digest that its bytes had then.
type stamp struct {
	Ino    uint64 `json:"ino"`
	Size   int64  `json:"size"`
	Change int64  `json:"ctimeNs"`
	SHA256 string `json:"sha256"`
}

// OpenDigests reads the cache file at path; an unreadable one counts as empty.
func OpenDigests(path string) *Digests {
	d := &Digests{path: path, known: map[string]stamp{}}
	if b, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(b, &d.known) // a broken cache costs one reading of the files
	}
	if d.known == nil {
		d.known = map[string]stamp{}
	}
	return d
}

// Of returns the file's digest. A missing file is an fs.ErrNotExist.
func (d *Digests) Of(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	now := stamp{Ino: uint64(st.Ino), Size: st.Size, Change: unix.TimespecToNsec(st.Ctim)}
	d.mu.Lock()
	kept, ok := d.known[path]
	d.mu.Unlock()
	if ok && kept.Ino == now.Ino && kept.Size == now.Size && kept.Change == now.Change {
		return kept.SHA256, nil
	}
	sum, err := fetch.Digest(path)
	if err != nil {
		return "", err
	}
	now.SHA256 = sum
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[path] = now
	d.dirty = true
	return sum, nil
}

// Moved says that the files of folder from are now those of folder to: what is
// known of them stays known.
func (d *Digests) Moved(from, to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, s := range d.known {
		if filepath.Dir(path) == from {
			delete(d.known, path)
			d.known[filepath.Join(to, filepath.Base(path))] = s
			d.dirty = true
		}
	}
}

// Save writes the cache file if anything was learnt.
func (d *Digests) Save() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirty {
		return nil
	}
	for p := range d.known {
		if _, err := os.Lstat(p); err != nil {
			delete(d.known, p)
		}
	}
	b, err := json.Marshal(d.known)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o755); err != nil {
		return fmt.Errorf("digest cache: %w", err)
	}
	d.dirty = false
	return home.WriteFileAtomic(d.path, b, 0o600)
}
