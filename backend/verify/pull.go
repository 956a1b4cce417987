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

	"ingot/backend"
	"ingot/backend/fetch"
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
	}
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, path.Base(v.disk.name))
	}
	p := &pulling{verification: v, ctx: ctx, to: to, progress: o.Progress}
	err = p.run()
	return Pulled{v.out, to, p.size, p.kept}, err
}

// pulling is the transfer of one disk.
type pulling struct {
	*verification
	ctx        context.Context
	to         string
	size, kept int64
	progress   func(done, total int64)
}

func (p *pulling) run() error {
	if info, err := os.Stat(p.to); err == nil {
		p.size, p.kept = info.Size(), info.Size()
		return p.there()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return &backend.FileError{File: p.to, Err: err}
	}
	part := p.to + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return &backend.FileError{File: part, Err: err}
	}
	err = p.fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	p.out.Files++
	if err := os.Rename(part, p.to); err != nil {
		return &backend.FileError{File: p.to, Err: err}
	}
	return nil
}

// there compares a file that has the name of the disk already.
func (p *pulling) there() error {
	got, err := fetch.DigestOf(p.ctx, p.to, p.progress)
	if err != nil {
		return &backend.FileError{File: p.to, Err: err}
	}
	if got != p.disk.sha256 {
		return &backend.FileError{File: p.to, Err: fmt.Errorf("it exists with other bytes (SHA-256 %s instead of %s): remove it, or name another file with --out", got, p.disk.sha256)}
	}
	p.out.Files++
	return nil
}

// fill makes the bytes of the file those of the disk. What it has is hashed and kept; if
// the whole then has another digest, it begins anew, once.
func (p *pulling) fill(f *os.File) error {
	sum := sha256.New()
	kept, err := io.Copy(sum, io.LimitReader(f, p.disk.size))
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
		p.opt.Notify(filepath.Base(p.to) + ": what was there from before is not of this disk: beginning anew")
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
	r, err := p.reader.GetFrom(p.ctx, p.disk.name, from, p.disk.size)
	if err != nil {
		return p.stopped(unread(err.Error(), err))
	}
	defer r.Close()
	p.size = from
	for buf := make([]byte, 1<<20); ; {
		n, rerr := r.Read(buf)
		sum.Write(buf[:n])
		if _, err := f.Write(buf[:n]); err != nil {
			return &backend.FileError{File: f.Name(), Err: err}
		}
		p.size += int64(n)
		p.progress(p.size, p.disk.size)
		if errors.Is(rerr, io.EOF) {
			return nil
		}
		if rerr != nil {
			return p.stopped(p.cutOff(p.disk.name, rerr))
		}
	}
}

// stopped is the context's error if that has ended, else err.
func (p *pulling) stopped(err error) error {
	if cerr := p.ctx.Err(); cerr != nil {
		return cerr
	}
	return err
}
