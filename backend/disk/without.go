package disk

import (
	"cmp"
	"iter"
	"slices"
)

// Without returns a source that reads as src, with zeros in the given ranges, which must
// be ascending and must not overlap. Closing it closes src.
func Without(src Source, ranges []Extent) Source { return &without{src, ranges} }

type without struct {
	Source
	ranges []Extent
}

// from returns the index of the first range that ends after off.
func (w *without) from(off int64) int {
	i, _ := slices.BinarySearchFunc(w.ranges, off, func(e Extent, off int64) int { return cmp.Compare(e.Offset+e.Length, off+1) })
	return i
}

// ReadAt reads the source, and clears what lies in a range.
func (w *without) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.Source.ReadAt(p, off)
	for _, r := range w.ranges[w.from(off):] {
		if r.Offset >= off+int64(n) {
			break
		}
		clear(p[max(0, r.Offset-off):min(int64(n), r.Offset+r.Length-off)])
	}
	return n, err
}

// Extents yields the source's extents without the ranges.
func (w *without) Extents() iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		for e, err := range w.Source.Extents() {
			if err != nil {
				yield(Extent{}, err)
				return
			}
			at, end := e.Offset, e.Offset+e.Length
			for _, r := range w.ranges[w.from(at):] {
				if r.Offset >= end {
					break
				}
				if r.Offset > at && !yield(Extent{Offset: at, Length: r.Offset - at}, nil) {
					return
				}
				at = r.Offset + r.Length
			}
			if at < end && !yield(Extent{Offset: at, Length: end - at}, nil) {
				return
			}
		}
	}
}
