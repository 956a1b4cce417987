package ext4

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Run is a range of consecutive blocks of a file.
type Run struct {
	Logical, Block, Count int64 // in blocks
	unwritten             bool  // allocated, but reads as zeros
}

// maxDepth is the maximal depth of an extent tree in the format.
const maxDepth = 5

// runs yields a file's blocks in order, without holes. A file cannot have more
// blocks than the file system, nor more tree nodes than the image stores; the
// limits end the walk of a tree that uses nodes several times.
func (fs *FS) runs(i Inode) iter.Seq2[Run, error] {
	blocks, nodes := fs.blocks, fs.once()
	return fs.runsWithin(i, &blocks, &nodes)
}

// runsWithin is runs with limits that several files share: on blocks of data and
// on nodes of trees. They may be the same.
func (fs *FS) runsWithin(i Inode, blocks, nodes *int64) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		if i.flags&flagInline != 0 || i.IsLink() && i.Size < 60 && i.flags&flagExtents == 0 {
			return
		}
		w := &runWalk{fs: fs, ino: i.Number, yield: yield, blocks: blocks, nodes: nodes}
		if i.flags&flagExtents != 0 {
			w.extents(i.block[:], maxDepth)
		} else {
			w.pointers(i.block[:])
		}
	}
}

type runWalk struct {
	fs      *FS
	ino     int64
	yield   func(Run, error) bool
	blocks  *int64 // of data that may still be yielded
	nodes   *int64 // that may still be read
	logical int64  // of the next block, for pointers
}

func (w *runWalk) fail(format string, args ...any) bool {
	w.yield(Run{}, fmt.Errorf("%w: inode %d: %s", ErrCorrupt, w.ino, fmt.Sprintf(format, args...)))
	return false
}

func (w *runWalk) excess() bool {
	w.yield(Run{}, fmt.Errorf("inode %d: %w", w.ino, ErrExcess))
	return false
}

// give checks a run and yields it; false ends the walk.
func (w *runWalk) give(r Run) bool {
	if r.Block <= 0 || r.Count <= 0 || r.Block+r.Count > w.fs.blocks {
		return w.fail("%d blocks at %d", r.Count, r.Block)
	}
	if *w.blocks -= r.Count; *w.blocks < 0 {
		return w.excess()
	}
	return w.yield(r, nil)
}

// node reads a block of a tree or table.
func (w *runWalk) node(n int64) ([]byte, bool) {
	if *w.nodes--; *w.nodes < 0 || w.fs.spend(1) != nil {
		return nil, w.excess()
	}
	b := make([]byte, w.fs.block)
	if err := w.fs.readBlock(b, n); err != nil {
		w.yield(Run{}, fmt.Errorf("inode %d: %w", w.ino, err))
		return nil, false
	}
	return b, true
}

// extents walks a node of an extent tree.
func (w *runWalk) extents(b []byte, most int) bool {
	le := binary.LittleEndian
	entries, depth := int(le.Uint16(b[2:])), int(le.Uint16(b[6:]))
	if le.Uint16(b) != 0xf30a || depth > most || 12+12*entries > len(b) {
		return w.fail("an extent node of %d entries, depth %d", entries, depth)
	}
	for e := b[12:]; entries > 0; e, entries = e[12:], entries-1 {
		if depth > 0 {
			sub, ok := w.node(int64(le.Uint32(e[4:])) | int64(le.Uint16(e[8:]))<<32)
			if !ok || !w.extents(sub, depth-1) {
				return false
			}
			continue
		}
		r := Run{Logical: int64(le.Uint32(e)), Count: int64(le.Uint16(e[4:])), Block: int64(le.Uint32(e[8:])) | int64(le.Uint16(e[6:]))<<32}
		if r.Count > 32768 {
			r.Count, r.unwritten = r.Count-32768, true
		}
		if !w.give(r) {
			return false
		}
	}
	return true
}

// pointers walks the block numbers of ext2 and ext3: twelve of data, then one
// table each of one, two and three levels.
func (w *runWalk) pointers(b []byte) bool {
	le := binary.LittleEndian
	for i := range 12 {
		if !w.pointer(int64(le.Uint32(b[4*i:])), 0) {
			return false
		}
	}
	for level := 1; level <= 3; level++ {
		if !w.pointer(int64(le.Uint32(b[4*(11+level):])), level) {
			return false
		}
	}
	return true
}

func (w *runWalk) pointer(n int64, level int) bool {
	span := int64(1)
	for range level {
		span *= w.fs.block / 4
	}
	if n == 0 {
		w.logical += span
		return true
	}
	if level == 0 {
		w.logical++
		return w.give(Run{Logical: w.logical - 1, Block: n, Count: 1})
	}
	b, ok := w.node(n)
	if !ok {
		return false
	}
	for ; len(b) >= 4; b = b[4:] {
		if !w.pointer(int64(binary.LittleEndian.Uint32(b)), level-1) {
			return false
		}
	}
	return true
}
