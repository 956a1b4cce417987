package home

import (
	"errors"
	"iter"
	"os"
	"syscall"
)

// Extent is a range of a file that has data, in bytes.
type Extent struct{ Offset, Length int64 }

// Extents yields the ranges between from and size for which the file system
// stores data; the ranges in between are holes, which read as zeros. On a file
// system without holes it yields the whole range. It moves the file's offset.
func Extents(f *os.File, from, size int64) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		for off := from; off < size; {
			start, err := f.Seek(off, seekData)
			if errors.Is(err, syscall.ENXIO) {
				return // nothing but a hole to the end
			}
			if err != nil {
				yield(Extent{off, size - off})
				return
			}
			if start >= size {
				return
			}
			end, err := f.Seek(start, seekHole)
			if err != nil || end > size {
				end = size
			}
			if !yield(Extent{start, end - start}) {
				return
			}
			off = end
		}
	}
}
