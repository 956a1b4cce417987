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
	"ingot/backend/limit"
)

// Digests caches the SHA-256 of files by their identity (inode, size, change
// time). The kernel sets the change time on every write, so a changed file is
// read again. Methods are safe for concurrent use.
type Digests struct {
	mu    sync.Mutex
	path  string
	known map[string]stamp
	dirty bool
}

// stamp is a file's identity and the digest of its content at that time.
type stamp struct {
	Ino    uint64 `json:"ino"`
	Size   int64  `json:"size"`
	Change int64  `json:"ctimeNs"`
	SHA256 string `json:"sha256"`
}

// OpenDigests reads the cache file at path. A file that cannot be read gives an
// empty cache.
func OpenDigests(path string) *Digests {
	d := &Digests{path: path, known: map[string]stamp{}}
	if b, err := limit.ReadFile(path, limit.Journal); err == nil {
		_ = json.Unmarshal(b, &d.known) // with a broken cache all files are read again
	}
	if d.known == nil {
		d.known = map[string]stamp{}
	}
	return d
}

// Of returns the file's digest in lower-case hex. A missing file gives
// fs.ErrNotExist.
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

// Moved tells the cache that the folder from was renamed to to, so that the
// digests of its files stay valid.
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

// Save writes the cache file if it has changed.
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
