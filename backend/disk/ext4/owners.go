package ext4

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Owner describes what a block belongs to.
type Owner struct {
	Inode int64 // 0 if it belongs to no file
	Free  bool  // unused according to the bitmap
	Meta  bool  // a table of the file system
	Past  bool  // after the file's end, in its last block
}

// Owners maps blocks to owners.
type Owners struct {
	fs   *FS
	runs []owned // by block
	gone []owned // deleted inodes that still have their block numbers
	size map[int64]int64

	blocks, nodes, tables int64 // that may still be read; see runsWithin
	left                  int64 // runs that may still be kept
	excess                bool
}

// owned is a run with its inode, in little memory: there is one for each fragment
// of each file.
type owned struct {
	block, logical int64
	count, inode   uint32
}

// goesOn reports whether r follows directly, as each block of ext2 does.
func (w owned) goesOn(r Run, inode int64) bool {
	return int64(w.inode) == inode && w.block+int64(w.count) == r.Block && w.logical+int64(w.count) == r.Logical && int64(w.count)+r.Count < 1<<31
}

// Owners reads all inodes. Of a damaged inode it includes the blocks that could
// be read. With ErrExcess it returns what it had until then.
func (fs *FS) Owners() (*Owners, error) {
	// a block has one owner, and perhaps one that was deleted
	o := &Owners{fs: fs, size: map[int64]int64{}, blocks: 2 * fs.blocks, nodes: 2 * fs.once(), tables: fs.once() * fs.block, left: (fs.storedBytes*workFactor + slack) / fs.block}
	for n := range fs.groups {
		if err := o.addGroup(int64(n)); err != nil {
			return nil, err
		}
	}
	byBlock := func(a, b owned) int { return cmp.Compare(a.block, b.block) }
	slices.SortStableFunc(o.runs, byBlock)
	slices.SortStableFunc(o.gone, byBlock)
	if o.excess {
		return o, ErrExcess
	}
	return o, nil
}

// tablePart is how many bytes of an inode table are read at once.
const tablePart = 1 << 20

// addGroup reads the used part of a group's inode table. Holes are skipped: they
// have no inodes in use.
func (o *Owners) addGroup(n int64) error {
	fs, g := o.fs, o.fs.groups[n]
	first := n*fs.inodesGroup + 1
	count := min(fs.inodesGroup-g.unusedInodes, fs.inodes-first+1)
	if g.inodeUninit || count <= 0 {
		return nil
	}
	if g.inodeTable <= 0 || g.inodeTable > fs.blocks-(count*fs.inodeSize+fs.block-1)/fs.block {
		return nil // damaged: its files have no paths either
	}
	table := g.inodeTable * fs.block
	for i := int64(0); i < count && !o.excess; {
		d := fs.data(table+i*fs.inodeSize, table+count*fs.inodeSize)
		if d.Length <= 0 {
			break
		}
		i = (d.Start - table) / fs.inodeSize // a range may start inside an inode
		last := min(count, (d.Start+min(d.Length, tablePart)-table+fs.inodeSize-1)/fs.inodeSize)
		if err := o.addInodes(first+i, table+i*fs.inodeSize, last-i); err != nil {
			return fmt.Errorf("inode table of group %d: %w", n, err)
		}
		i = last
	}
	return nil
}

// addInodes reads count inodes at off; the first has the number n.
func (o *Owners) addInodes(n, off, count int64) error {
	size := o.fs.inodeSize
	if o.tables -= count * size; o.tables < 0 {
		o.excess = true
		return nil
	}
	buf := make([]byte, count*size)
	if _, err := o.fs.r.ReadAt(buf, off); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for i := range count {
		o.add(parseInode(n+i, buf[i*size:(i+1)*size]))
	}
	return nil
}

func (o *Owners) add(i Inode) {
	const reserved, resize = 10, 7 // 7 keeps room for group descriptors
	if i.Mode == 0 && i.Number != Journal || i.Number == resize {
		return
	}
	list := &o.runs
	if i.Links == 0 && i.Number > reserved {
		list = &o.gone
	}
	for r, err := range o.fs.runsWithin(i, &o.blocks, &o.nodes) {
		if err != nil {
			o.excess = o.excess || errors.Is(err, ErrExcess)
			break
		}
		if n := len(*list) - 1; n >= 0 && (*list)[n].goesOn(r, i.Number) {
			(*list)[n].count += uint32(r.Count)
			continue
		}
		if o.left--; o.left < 0 {
			o.excess = true
			break
		}
		*list = append(*list, owned{r.Block, r.Logical, uint32(r.Count), uint32(i.Number)})
	}
	o.size[i.Number] = i.Size
}

// At returns the owner of the byte at off of the file system.
func (o *Owners) At(off int64) (Owner, error) {
	block := off / o.fs.block
	if w, ok := search(o.runs, block); ok {
		n := int64(w.inode)
		return Owner{Inode: n, Past: (w.logical+block-w.block)*o.fs.block+off%o.fs.block >= o.size[n]}, nil
	}
	free, err := o.fs.free(block)
	if err != nil || !free {
		return Owner{Meta: true}, err
	}
	if w, ok := search(o.gone, block); ok {
		return Owner{Inode: int64(w.inode), Free: true}, nil
	}
	return Owner{Free: true}, nil
}

func search(list []owned, block int64) (owned, bool) {
	i, exact := slices.BinarySearchFunc(list, block, func(w owned, b int64) int { return cmp.Compare(w.block, b) })
	if !exact {
		i--
	}
	if i < 0 || block >= list[i].block+int64(list[i].count) {
		return owned{}, false
	}
	return list[i], true
}

// free looks the block up in the bitmap. A group whose bitmap was never written
// has only its own tables; those are reported as free.
func (fs *FS) free(block int64) (bool, error) {
	n := block - fs.firstBlock
	if n < 0 || n/fs.perGroup >= int64(len(fs.groups)) {
		return false, nil
	}
	g := fs.groups[n/fs.perGroup]
	if g.blockUninit {
		return true, nil
	}
	buf := make([]byte, fs.block)
	if err := fs.readBlock(buf, g.blockBitmap); err != nil {
		return false, err
	}
	bit := n % fs.perGroup
	return buf[bit/8]>>(bit%8)&1 == 0, nil
}
