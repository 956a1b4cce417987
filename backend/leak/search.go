package leak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ingot/backend/disk"
	"ingot/backend/evidence"
)

// Sizes, in bytes: of a chunk that is read at once, of the overlap with the next
// chunk, so that no needle is cut, and of the text around a hit that is matched.
const (
	chunkSize  = 4 << 20
	overlap    = 64
	windowBack = 256
	windowSize = 8 << 10
	maxHits    = 100_000
)

// hit is a match of a rule at a byte of the disk.
type hit struct {
	off  int64
	rule *byteRule
}

// search searches all extents, on all cores.
func (s *scan) search(ctx context.Context, progress func(done, total int64)) ([]hit, error) {
	var mu sync.Mutex
	var hits []hit
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	buffers := sync.Pool{New: func() any { b := make([]byte, chunkSize+overlap); return &b }}
	for e := range chunks(s.extents) {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		s.out.Bytes += e.Length
		g.Go(func() error {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			found, err := s.searchChunk(e, *buf)
			mu.Lock()
			defer mu.Unlock()
			if hits = append(hits, found...); len(hits) > maxHits {
				return fmt.Errorf("more than %d places look like secrets: this is probably not the disk of a machine", maxHits)
			}
			if progress != nil {
				progress(e.Offset+e.Length, s.src.Size())
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(hits, func(a, b hit) int { return int(min(1, max(-1, a.off-b.off))) })
	return hits, nil
}

// chunks divides extents into chunks.
func chunks(extents []disk.Extent) iter.Seq[disk.Extent] {
	return func(yield func(disk.Extent) bool) {
		for _, e := range extents {
			for e.Length > 0 {
				n := min(e.Length, chunkSize)
				if !yield(disk.Extent{Offset: e.Offset, Length: n}) {
					return
				}
				e.Offset, e.Length = e.Offset+n, e.Length-n
			}
		}
	}
}

func (s *scan) searchChunk(e disk.Extent, buf []byte) (out []hit, err error) {
	b := buf[:e.Length+overlap]
	n, err := s.src.ReadAt(b, e.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	err = nil
	s.pack.index.find(b[:n], func(at int, r *byteRule) {
		if err != nil || int64(at) >= e.Length {
			return // found in the next chunk
		}
		var fits bool
		if fits, err = s.judge(e.Offset+int64(at), r); fits {
			out = append(out, hit{e.Offset + int64(at), r})
		}
	})
	return out, err
}

// judge matches the rule's pattern with the bytes around a needle.
func (s *scan) judge(off int64, r *byteRule) (bool, error) {
	back := min(off, windowBack)
	window := make([]byte, windowSize)
	n, err := s.src.ReadAt(window, off-back)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err == nil && r.fits(window[:n], int(back)), err
}

// place determines what the byte of a hit belongs to, and reports it.
func (s *scan) place(h hit) error {
	for _, a := range s.areas {
		if h.off < a.part.Start || h.off >= a.part.Start+a.part.Length {
			continue
		}
		f, err := a.leakAt(h.off - a.part.Start)
		if err != nil {
			return err
		}
		f.Area, f.Offset = a.Name, h.off
		s.report(&h.rule.Rule, f)
		return nil
	}
	s.report(&h.rule.Rule, evidence.Leak{In: "bytes", Area: "outside of the partitions", Offset: h.off})
	return nil
}
