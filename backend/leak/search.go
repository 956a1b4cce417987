package leak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ingot/backend/disk"
	"ingot/backend/evidence"
)

// Sizes of what is read at once: a chunk, what of the next one is read along so
// that no needle is cut, and what is judged around a hit.
const (
	chunkSize  = 4 << 20
	overlap    = 64
	windowBack = 256
	windowSize = 8 << 10
	maxHits    = 100_000
)

// hit is a rule that fits at a byte of the disk.
type hit struct {
	off  int64
	rule *byteRule
}

// search reads all extents, on all cores.
func (s *scan) search(ctx context.Context, progress func(done, total int64)) ([]hit, error) {
	var mu sync.Mutex
	var hits []hit
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	buffers := sync.Pool{New: func() any { b := make([]byte, chunkSize+overlap); return &b }}
	for e, err := range chunks(s.src) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
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
				return fmt.Errorf("more than %d places look like secrets: this is no disk of a machine", maxHits)
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

// chunks cuts the extents.
func chunks(src disk.Source) func(yield func(disk.Extent, error) bool) {
	return func(yield func(disk.Extent, error) bool) {
		for e, err := range src.Extents() {
			if err != nil {
				yield(e, err)
				return
			}
			for e.Length > 0 {
				n := min(e.Length, chunkSize)
				if !yield(disk.Extent{Offset: e.Offset, Length: n}, nil) {
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
			return // the next chunk has it
		}
		var fits bool
		if fits, err = s.judge(e.Offset+int64(at), r); fits {
			out = append(out, hit{e.Offset + int64(at), r})
		}
	})
	return out, err
}

// judge reads what lies around a needle.
func (s *scan) judge(off int64, r *byteRule) (bool, error) {
	back := min(off, windowBack)
	window := make([]byte, windowSize)
	n, err := s.src.ReadAt(window, off-back)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err == nil && r.fits(window[:n], int(back)), err
}

// place finds out whose the byte of a hit is, and reports it.
func (s *scan) place(h hit) error {
	for _, a := range s.areas {
		if h.off < a.part.start || h.off >= a.part.start+a.part.length {
			continue
		}
		f, err := a.leakAt(h.off - a.part.start)
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
