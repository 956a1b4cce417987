package ext4

import (
	"errors"
	"fmt"
)

// ErrDirty reports that changes in the journal have not been written back: which blocks
// are free is not known.
var ErrDirty = errors.New("the journal of the ext4 file system is not empty")

// Free returns the ranges of the blocks that belong to no file and to no table, ascending.
// What a group's bitmap has never said is not free. The error is ErrDirty for a file system
// that was not unmounted.
func (fs *FS) Free() ([]Range, error) {
	if fs.Dirty() {
		return nil, ErrDirty
	}
	var out []Range
	buf := make([]byte, fs.block)
	for i, g := range fs.groups {
		if g.blockUninit {
			continue
		}
		if err := fs.readBlock(buf, g.blockBitmap); err != nil {
			return nil, fmt.Errorf("bitmap of group %d: %w", i, err)
		}
		first := fs.firstBlock + int64(i)*fs.perGroup
		for bit := int64(0); bit < fs.perGroup && first+bit < fs.blocks; bit++ {
			if buf[bit/8]>>(bit%8)&1 != 0 {
				continue
			}
			at := (first + bit) * fs.block
			if n := len(out) - 1; n >= 0 && out[n].Start+out[n].Length == at {
				out[n].Length += fs.block
			} else {
				out = append(out, Range{at, fs.block})
			}
		}
	}
	return out, nil
}
