// Package disk reads and writes disk image formats.
//
// A Source is the content of a disk as extents: the allocated ranges in guest
// order, so that holes need no work. A Sink reads a source in one pass and
// writes one file: qcow2 (version 3, flattened, zlib clusters, no backing file)
// or raw. The same source always gives the same bytes. Inspect checks images of
// any origin and does not trust them: it opens no file that the image refers
// to.
//
// External facts: the qcow2 format is QEMU's docs/interop/qcow2.rst; zlib
// clusters are raw deflate streams of one cluster each.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"ingot/backend/home"
)

// Extent is a range of allocated bytes.
type Extent = home.Extent

// Source is the content of a disk. The caller closes it.
type Source interface {
	io.ReaderAt
	Size() int64                       // bytes, a multiple of 512
	Extents() iter.Seq2[Extent, error] // ascending, not overlapping
	Close() error
}

// Sink writes one file from a whole source. If it fails, it removes the file.
// progress, which may be nil, gets the number of source bytes done and in
// total.
type Sink interface {
	Take(ctx context.Context, src Source, progress func(done, total int64)) error
}

// rawFile is a raw image; its holes are those of the file.
type rawFile struct {
	f    *os.File
	size int64
}

// OpenRaw opens a raw image as a source.
func OpenRaw(path string) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open disk: %w", err)
	}
	info, err := f.Stat()
	if err != nil || info.Size() == 0 || info.Size()%512 != 0 {
		return nil, errors.Join(fmt.Errorf("open disk %s: the size of a raw disk must be a multiple of 512 bytes, and not 0", path), err, f.Close())
	}
	return &rawFile{f, info.Size()}, nil
}

func (r *rawFile) ReadAt(p []byte, off int64) (int, error) { return r.f.ReadAt(p, off) }
func (r *rawFile) Size() int64                             { return r.size }
func (r *rawFile) Close() error                            { return r.f.Close() }

// Extents asks the file system for data and holes. On a file system without
// holes it yields the whole file.
func (r *rawFile) Extents() iter.Seq2[Extent, error] { return r.extentsFrom(0) }

func (r *rawFile) extentsFrom(from int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		for e := range home.Extents(r.f, from, r.size) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// artifactMode makes exported files readable for all users.
const artifactMode = 0o644

// Raw is the Sink of a sparse raw image.
type Raw struct{ Path string }

// Take copies the extents.
func (r Raw) Take(ctx context.Context, src Source, progress func(done, total int64)) error {
	return home.CreateAtomic(r.Path, artifactMode, func(f *os.File) error {
		if err := f.Truncate(src.Size()); err != nil {
			return err
		}
		for c, err := range clusters(ctx, src) {
			if err != nil {
				return err
			}
			if !allZero(c.data) {
				if _, err := f.WriteAt(c.data, c.index*clusterSize); err != nil {
					return err
				}
			}
			if progress != nil {
				progress(min((c.index+1)*clusterSize, src.Size()), src.Size())
			}
		}
		return nil
	})
}

// cluster is a 64 KiB block of a source; the last one may be shorter.
type cluster struct {
	index int64
	data  []byte
}

// clusters reads the clusters that an extent touches. The receiver owns each
// slice.
func clusters(ctx context.Context, src Source) iter.Seq2[cluster, error] {
	return func(yield func(cluster, error) bool) {
		next := int64(0)
		for e, err := range src.Extents() {
			if err != nil {
				yield(cluster{}, err)
				return
			}
			first := max(next, e.Offset/clusterSize)
			for i := first; i*clusterSize < e.Offset+e.Length; i++ {
				data := make([]byte, min(clusterSize, src.Size()-i*clusterSize))
				_, err := src.ReadAt(data, i*clusterSize)
				if errors.Is(err, io.EOF) {
					err = nil
				}
				if err == nil {
					err = ctx.Err()
				}
				if !yield(cluster{i, data}, err) || err != nil {
					return
				}
				next = i + 1
			}
		}
	}
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7] != 0 {
			return false
		}
		b = b[8:]
	}
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
