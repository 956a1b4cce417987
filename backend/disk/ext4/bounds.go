package ext4

import (
	"cmp"
	"fmt"
	"slices"
)

// ErrExcess reports a file system that refers to far more than its image holds,
// such as a folder whose extent tree uses the same node many times: reading all
// of it would take memory and time without relation to the size of the image. It
// is an ErrCorrupt too.
var ErrExcess = fmt.Errorf("%w: it refers to more than its image holds", ErrCorrupt)

// Range is a range of bytes of a file system.
type Range struct{ Start, Length int64 }

// A sound file system stores each node, table and name once, and a reader needs
// each a few times. So the limits follow from the number of stored bytes; the
// slack is for images of a few blocks.
const (
	workFactor = 16       // blocks that are read in all, per stored block
	slack      = 16 << 20 // bytes that are added to each limit
	walkSlack  = 64       // blocks that are added to the limit of one walk
	maxPaths   = 2 << 30  // bytes of all paths of a walk
)

// bound sets the limits of fs. stored must be ascending; nil means all.
func (fs *FS) bound(stored []Range) {
	bytes := fs.blocks * fs.block
	if fs.stored = stored; stored != nil {
		bytes = 0
		for _, r := range stored {
			bytes += r.Length
		}
	}
	fs.storedBytes = min(bytes, fs.blocks*fs.block)
	fs.work.Store((min(fs.storedBytes, 1<<50)*workFactor + slack) / fs.block)
}

// once is a limit on blocks of which a walk reads each once.
func (fs *FS) once() int64 { return fs.storedBytes/fs.block + walkSlack }

// spend takes n blocks from what may be read of fs in all.
func (fs *FS) spend(n int64) error {
	if fs.work.Add(-n) < 0 {
		return ErrExcess
	}
	return nil
}

// data returns the part of the first range at or after off that is stored, up to
// end; its length is 0 if there is none.
func (fs *FS) data(off, end int64) Range {
	if fs.stored == nil {
		return Range{off, max(0, end-off)}
	}
	i, _ := slices.BinarySearchFunc(fs.stored, off, func(r Range, off int64) int { return cmp.Compare(r.Start+r.Length, off+1) })
	if i == len(fs.stored) {
		return Range{}
	}
	start := max(off, fs.stored[i].Start)
	return Range{start, max(0, min(end, fs.stored[i].Start+fs.stored[i].Length)-start)}
}
