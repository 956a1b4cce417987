// Package folder publishes releases to a folder of this computer: a share, a web
// server's root, or a removable disk.
package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ingot/backend/home"
	"ingot/backend/limit"
	"ingot/backend/publish"
)

// Scheme begins the name of a folder as a publisher: dir:PATH.
const Scheme = "dir"

// Folder is a folder as a publisher. Objects are written to a temporary file and then
// linked to their name, which fails if it exists. The few mutable ones change under a
// lock (flock(2)) of the folder's .ingot.lock.
type Folder struct{ dir string }

// Open returns a publisher for the folder. The path must be absolute, since builds run
// in another process than the command that names it. The folder need not exist.
func Open(dir string) (publish.Publisher, error) {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
		return nil, &publish.NameError{Name: Scheme + ":" + dir, Known: []string{"dir: and an absolute path, like dir:/srv/images"}}
	}
	return &Folder{filepath.Clean(dir)}, nil
}

// ID returns the folder's address.
func (f *Folder) ID() string { return f.Public("") }

// Local returns true: other computers can read the folder only if it is shared.
func (f *Folder) Local() bool { return true }

// Public returns the file:// address of an object.
func (f *Folder) Public(name string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(f.path(name))}).String()
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Publish writes a release to the folder.
func (f *Folder) Publish(ctx context.Context, r publish.Release, opt publish.Options) (publish.Receipt, error) {
	return publish.ToStore(ctx, f, r, opt)
}

// Probe tests writing, create-only writing, and reading.
func (f *Folder) Probe(ctx context.Context) ([]publish.Ability, error) {
	if err := f.Check(ctx); err != nil {
		return nil, err
	}
	name := ".ingot-probe"
	defer os.Remove(f.path(name))
	probe := publish.File{Name: name, Data: []byte("probe")}
	want := publish.Published{SHA256: sum(probe.Data), Size: int64(len(probe.Data))}
	made, err := f.Create(ctx, name, probe, want, nil)
	found := []publish.Ability{ability("write", "files can be written", made, err)}
	again, err := f.Create(ctx, name, probe, want, nil)
	found = append(found, ability("create only", "a published file is never overwritten", !again && err == nil, err))
	got, err := f.ReadBack(ctx, name)
	return append(found, ability("read back", "a written file is read back and hashed", got.SHA256 == want.SHA256, err)), nil
}

func ability(name, why string, ok bool, err error) publish.Ability {
	a := publish.Ability{Name: name, OK: ok, Why: why}
	if err != nil && !ok {
		a.Seen = err.Error()
	}
	return a
}

// Check creates the folder if it does not exist.
func (f *Folder) Check(context.Context) error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return &publish.Error{Cause: "publish.failed", Msg: fmt.Sprintf("the folder %s cannot be created: %v", f.dir, err), Err: err}
	}
	if err := unix.Access(f.dir, unix.W_OK); err != nil {
		return &publish.Error{Cause: "publish.credentials", Msg: fmt.Sprintf("the folder %s is not writable", f.dir), Fix: "choose another folder, or let this user write there", Err: err}
	}
	return nil
}

// Create copies a file to a temporary name, compares the digest of what was written,
// and links it to its name.
func (f *Folder) Create(ctx context.Context, name string, file publish.File, want publish.Published, sent func(int64)) (made bool, err error) {
	dst := f.path(name)
	if _, err := os.Lstat(dst); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return false, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(dst), ".ingot-*")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name())) }()
	r, err := publish.OpenFile(file)
	if err != nil {
		return false, err
	}
	defer r.Close()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(tmp, hash), &reader{ctx: ctx, r: r, sent: sent}); err != nil {
		return false, err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want.SHA256 {
		return false, publish.Changed(file, got)
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync()); err != nil {
		return false, err
	}
	err = os.Link(tmp.Name(), dst)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// reader stops when its context is done, and reports how much was read.
type reader struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	sent func(int64)
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	r.n += int64(n)
	if r.sent != nil && n > 0 {
		r.sent(r.n)
	}
	return n, err
}

// ReadBack reads the file again.
func (f *Folder) ReadBack(_ context.Context, name string) (publish.Published, error) {
	file, err := limit.Open(f.path(name))
	if err != nil {
		return publish.Published{}, err
	}
	defer file.Close()
	return publish.SHA256Of(file)
}

// ReadPublic is ReadBack: a folder has no other address.
func (f *Folder) ReadPublic(ctx context.Context, name string, _ int64) (publish.Published, error) {
	return f.ReadBack(ctx, name)
}

// smallObject bounds what Get reads, in bytes: a catalogue of ten thousand releases is
// smaller.
const smallObject = 64 << 20

// Get reads a small file; its tag is the digest.
func (f *Folder) Get(_ context.Context, name string) (data []byte, tag string, ok bool, err error) {
	file, err := limit.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", false, nil
	}
	if err != nil {
		return nil, "", false, err
	}
	defer file.Close()
	data, err = io.ReadAll(io.LimitReader(file, smallObject+1))
	if err == nil && len(data) > smallObject {
		err = fmt.Errorf("%s is larger than its bound of %d bytes", name, smallObject)
	}
	return data, sum(data), err == nil, err
}

// Replace replaces a file if it is still as it was read.
func (f *Folder) Replace(ctx context.Context, name string, data []byte, _, tag string) error {
	lock, err := home.LockFile(f.path(".ingot.lock"), 0o644, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	_, now, ok, err := f.Get(ctx, name)
	if err != nil {
		return err
	}
	if ok != (tag != "") || ok && now != tag {
		return publish.ErrMoved
	}
	if err := os.MkdirAll(filepath.Dir(f.path(name)), 0o755); err != nil {
		return err
	}
	return home.WriteFileAtomic(f.path(name), data, 0o644)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// Reader reads a release's folder.
type Reader struct{ Dir string }

// Get opens a file of the release after its first bytes.
func (r Reader) Get(_ context.Context, name string, from, max int64) (io.ReadCloser, error) {
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) {
		return nil, fmt.Errorf("%q is outside the release's folder", name)
	}
	path := filepath.Join(r.Dir, local)
	file, err := limit.Open(path)
	if err != nil { // a nil *os.File is not a nil io.ReadCloser
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.Size() > max {
		return nil, errors.Join(fmt.Errorf("%s is larger than its bound of %d bytes", path, max), err, file.Close())
	}
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
