package home

import (
	"errors"
	"iter"
	"os"
	"syscall"
)

// Extent is a stretch of bytes that are there.
type Extent struct{ Offset, Length int64 }

// Extents asks the file system for the data of the file's first size bytes, from
// an offset on; what lies between is holes, which read as zeros. A file system
// that knows no holes answers with all of it. It moves the file's position.
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
