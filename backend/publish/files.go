package publish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sync/errgroup"

	"ingot/backend/limit"
)

func fileSize(f File) int64 {
	if f.Path == "" {
		return int64(len(f.Data))
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return 0 // the upload reports the error
	}
	return info.Size()
}

// Small files are uploaded and read back several at once, since each costs round trips
// and hardly any bytes. Larger ones come one after the other, with progress.
const (
	smallFile   = 1 << 20 // bytes
	smallAtOnce = 8
)

// files uploads files of which none names another. p.done gets them in their order.
func (p *publishing) files(ctx context.Context, files []File) error {
	done := make([]Published, len(files))
	together, small := errgroup.WithContext(ctx)
	together.SetLimit(smallAtOnce)
	for i, f := range files {
		if fileSize(f) <= smallFile {
			together.Go(func() (err error) {
				done[i], err = p.put(small, f, nil)
				return err
			})
		}
	}
	if err := together.Wait(); err != nil {
		return err
	}
	for i, f := range files {
		if done[i].Name == "" {
			var err error
			if done[i], err = p.put(ctx, f, p.progress); err != nil {
				return err
			}
		}
		p.note(done[i])
	}
	return nil
}

// file uploads one file, with progress.
func (p *publishing) file(ctx context.Context, f File) error {
	done, err := p.put(ctx, f, p.progress)
	if err == nil {
		p.note(done)
	}
	return err
}

// note adds a file to those that are published.
func (p *publishing) note(f Published) {
	p.done = append(p.done, f)
	p.sent += f.Size
	p.progress(0)
}

// put uploads one file create-only and compares it with the stored object. Small files
// may be put at the same time.
func (p *publishing) put(ctx context.Context, f File, progress func(int64)) (Published, error) {
	want, err := DigestFile(f)
	if err != nil {
		return want, err
	}
	key := path.Join(p.dir, f.Name)
	made, err := p.Create(ctx, key, f, want, progress)
	if err != nil {
		return want, fmt.Errorf("%s: %w", f.Name, err)
	}
	if _, draft := p.Store.(Draft); f.Disk && !draft { // a draft's disk can be read by everybody later
		err = p.readDisk(ctx, f.Name, want, made)
	} else {
		err = p.readBack(ctx, f.Name, want, made)
	}
	want.Name, want.URL = f.Name, p.Public(key)
	return want, err
}

// readBack reads what the store has with its credentials, and compares it.
func (p *publishing) readBack(ctx context.Context, name string, want Published, made bool) error {
	key := path.Join(p.dir, name)
	got, err := p.ReadBack(ctx, key)
	if err != nil {
		return fmt.Errorf("read back %s: %w", name, err)
	}
	if got.Size == want.Size && got.SHA256 == want.SHA256 {
		return nil
	}
	if made {
		return fmt.Errorf("%s: the storage returned other bytes (SHA-256 %s) than those that were sent (SHA-256 %s)", name, got.SHA256, want.SHA256)
	}
	return &Error{Cause: "publish.conflict", Msg: fmt.Sprintf("%s already exists with other bytes (SHA-256 %s instead of %s)", key, got.SHA256, want.SHA256)}
}

// readDisk reads a disk from its public address, as everybody will: once, since disks are
// large. The store itself is asked too if what is public may be another server's copy, if
// the object was there before, and if other bytes are public, for whose they are.
func (p *publishing) readDisk(ctx context.Context, name string, want Published, made bool) error {
	other, err := p.publicDiffers(ctx, name, want)
	if err != nil {
		return err
	}
	elsewhere, is := p.Store.(Elsewhere)
	if other != nil || !made || is && elsewhere.PublicElsewhere() {
		if err := p.readBack(ctx, name, want, made); err != nil {
			return err
		}
	}
	if other != nil {
		return other
	}
	p.disks = append(p.disks, name)
	return nil
}

// publicDiffers reads a file from its public address and compares it. other tells what
// differs; nil is the same bytes.
func (p *publishing) publicDiffers(ctx context.Context, name string, want Published) (other, err error) {
	key := path.Join(p.dir, name)
	got, err := p.ReadPublic(ctx, key, want.Size)
	var odd *limit.AnswerError
	how := fmt.Sprintf("SHA-256 %s instead of %s", got.SHA256, want.SHA256)
	switch {
	case errors.As(err, &odd) && odd.TooLong:
		how = odd.Msg
	case err != nil:
		return nil, err
	case got.Size == want.Size && got.SHA256 == want.SHA256:
		return nil, nil
	}
	return &Error{Cause: "publish.failed", Msg: fmt.Sprintf("the public address %s returns other bytes than the storage: %s", p.Public(key), how)}, nil
}

// progress reports what was sent, including n bytes of the current file.
func (p *publishing) progress(n int64) {
	if p.opt.Progress != nil {
		p.opt.Progress(p.sent+n, max(p.all, p.sent+n))
	}
}
