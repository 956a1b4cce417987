package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ingot/backend"
	"ingot/backend/disk"
	"ingot/backend/fetch"
	"ingot/backend/home"
)

// PullOptions are the options of Pull.
type PullOptions struct {
	Subject  string // the address of a published release, or its folder
	KeyFile  string // see Options
	To       string // the file to write, or an existing folder; "" is the cache, by digest
	Unproven bool   // accept a release without a proof that its disk boots
	Notify   func(msg string)
	Progress func(done, total int64) // bytes of the disk
}

// Pulled is a disk that was fetched from a release.
type Pulled struct {
	Verified
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	Kept  int64  `json:"kept"` // bytes that were there from an earlier attempt
}

// Pull verifies a release as Check does, without reading its large files, and fetches
// the disk that is proven to boot. Only a file with the digest of the signed list gets
// its name; until then it ends in .part, and the next Pull goes on with that. An existing
// file with the same digest is kept, one with other bytes is an error.
func Pull(ctx context.Context, b *backend.Backend, o PullOptions) (Pulled, error) {
	if o.Progress == nil {
		o.Progress = func(_, _ int64) {}
	}
	v, release, err := begin(b, Options{Subject: o.Subject, KeyFile: o.KeyFile, Unproven: o.Unproven, Notify: o.Notify})
	if err != nil {
		return Pulled{}, err
	}
	if !release {
		return Pulled{}, &backend.NothingToDoError{Msg: fmt.Sprintf("%s is not the address of a release, nor its folder", o.Subject)}
	}
	if name := path.Base(o.Subject); disk.BootableFile(name) {
		v.opt.Notify(fmt.Sprintf("%s names a release; of that, the disk that is proven is fetched", o.Subject))
	}
	v.pull = true
	if err := v.release(ctx); err != nil {
		return Pulled{Verified: v.out}, err
	}
	if v.disk.name == "" {
		return Pulled{Verified: v.out}, &backend.VerifyError{Cause: "image.missing", Msg: v.base + " has no disk that can be started"}
	}
	to := o.To
	if to == "" {
		to = filepath.Join(b.Home.Pulled(), v.disk.sha256)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return Pulled{}, &backend.FileError{File: to, Err: err}
		}
		now := time.Now()
		_ = os.Chtimes(to, now, now) // gc removes folders that were not used for a day
	}
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, path.Base(v.disk.name))
	}
	p := &pulling{verification: v, ctx: ctx, to: to, progress: o.Progress}
	err = p.run()
	return Pulled{v.out, to, p.size, p.kept}, p.stopped(err)
}

// pulling is the transfer of one disk.
type pulling struct {
	*verification
	ctx        context.Context
	to         string
	size, kept int64
	progress   func(done, total int64)
}

func (p *pulling) run() (err error) {
	if done, err := p.there(); done || err != nil {
		return err
	}
	part := p.to + ".part"
	f, err := lockPart(part)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // gives the lock back
	done, err := p.there()                               // another process may have ended it meanwhile
	if err != nil {
		return err
	}
	if done {
		return p.named(os.Remove(part))
	}
	if err := p.fill(f); err != nil {
		return err
	}
	if err = f.Sync(); err == nil {
		err = os.Rename(part, p.to)
	}
	p.out.Files++
	return p.named(err)
}

// named names the file in an error.
func (p *pulling) named(err error) error {
	if err != nil {
		return &backend.FileError{File: p.to, Err: err}
	}
	return nil
}

// lockPart opens the file of an unfinished transfer, which one process at a time writes.
func lockPart(part string) (*os.File, error) {
	busy := &backend.FileError{File: part, Err: errors.New("another process is fetching it: wait until that has ended")}
	f, err := home.LockFile(part, 0o644, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, busy
	}
	if err != nil {
		return nil, &backend.FileError{File: part, Err: err}
	}
	now, err := os.Stat(part)
	held, herr := f.Stat()
	if err != nil || herr != nil || !os.SameFile(now, held) { // it was given its name before the lock was had
		return nil, errors.Join(busy, f.Close())
	}
	return f, nil
}

// there compares a file that has the name of the disk already, if there is one.
func (p *pulling) there() (is bool, err error) {
	info, err := os.Stat(p.to)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, &backend.FileError{File: p.to, Err: err}
	}
	got, err := fetch.DigestOf(p.ctx, p.to, p.progress)
	if err != nil {
		return false, &backend.FileError{File: p.to, Err: err}
	}
	if got != p.disk.sha256 {
		return false, &backend.FileError{File: p.to, Err: fmt.Errorf("it exists with other bytes (SHA-256 %s instead of %s): remove it, or name another file with --out", got, p.disk.sha256)}
	}
	p.size, p.kept = info.Size(), info.Size()
	p.out.Files++
	return true, nil
}

// fill makes the bytes of the file those of the disk. What it has is hashed and kept; if
// the whole then has another digest, it begins anew, once.
func (p *pulling) fill(f *os.File) error {
	sum := sha256.New()
	kept, err := p.copy(sum, io.LimitReader(f, p.disk.size), 0)
	if err != nil {
		return &backend.FileError{File: f.Name(), Err: err}
	}
	if kept > 0 {
		p.opt.Notify(fmt.Sprintf("%s: going on after %d MB", filepath.Base(p.to), kept/1_000_000))
	}
	if err := p.rest(f, sum, kept); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.disk.sha256 {
		if err := f.Truncate(0); err != nil {
			return &backend.FileError{File: f.Name(), Err: err}
		}
		if kept == 0 {
			return p.changed(p.disk.name, got, p.disk.sha256)
		}
		p.opt.Notify(filepath.Base(p.to) + ": what was there and what came now do not make this disk: beginning anew")
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return &backend.FileError{File: f.Name(), Err: err}
		}
		return p.fill(f) // it keeps nothing, and so ends here
	}
	p.kept = kept
	return nil
}

// rest fetches the disk after its first bytes and writes it to the file.
func (p *pulling) rest(f *os.File, sum hash.Hash, from int64) error {
	if err := f.Truncate(from); err != nil { // it may have more
		return &backend.FileError{File: f.Name(), Err: err}
	}
	if from == p.disk.size {
		p.size = from
		return nil
	}
	r, err := p.reader.Get(p.ctx, p.disk.name, from, p.disk.size)
	if err != nil {
		return unread(err.Error(), err)
	}
	defer r.Close()
	n, err := p.copy(io.MultiWriter(sum, fileWriter{f}), r, from)
	p.size = from + n
	if err != nil && !errors.As(err, new(*backend.FileError)) {
		err = p.cutOff(p.disk.name, err)
	}
	return err
}

// copy copies until the end, or until the context is done. done are the bytes of the disk
// before.
func (p *pulling) copy(w io.Writer, r io.Reader, done int64) (n int64, err error) {
	for buf := make([]byte, 1<<20); ; {
		if err := p.ctx.Err(); err != nil {
			return n, err
		}
		got, rerr := r.Read(buf)
		if _, err := w.Write(buf[:got]); err != nil {
			return n, err
		}
		n += int64(got)
		p.progress(done+n, p.disk.size)
		if rerr == io.EOF { //nolint:errorlint // a reader's own end; a wrapped one is an error
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
	}
}

// fileWriter names the file in its errors.
type fileWriter struct{ f *os.File }

func (w fileWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		err = &backend.FileError{File: w.f.Name(), Err: err}
	}
	return n, err
}

// stopped is the context's error if that has ended, else err.
func (p *pulling) stopped(err error) error {
	if cerr := p.ctx.Err(); err != nil && cerr != nil {
		return cerr
	}
	return err
}
