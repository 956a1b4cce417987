package ext4

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Owner says whose a block is.
type Owner struct {
	Inode int64 // 0: no file's
	Free  bool  // the bitmap says that nothing uses it
	Meta  bool  // a table of the file system
	Past  bool  // behind the file's end, in its last block
	run   Run
}

// Owners answers whose a block is.
type Owners struct {
	fs   *FS
	runs []Owner // by block
	gone []Owner // of deleted inodes that still name their blocks
	size map[int64]int64
}

// Owners reads all inodes. Damaged ones own what could be read of them.
func (fs *FS) Owners() (*Owners, error) {
	o := &Owners{fs: fs, size: map[int64]int64{}}
	left := 2 * fs.blocks // a block has one owner, and perhaps one that was deleted
	for n := range fs.groups {
		if err := o.addGroup(int64(n), &left); err != nil {
			return nil, err
		}
	}
	byBlock := func(a, b Owner) int { return cmp.Compare(a.run.Block, b.run.Block) }
	slices.SortStableFunc(o.runs, byBlock)
	slices.SortStableFunc(o.gone, byBlock)
	return o, nil
}

// addGroup reads the part of a group's inode table that was ever used.
func (o *Owners) addGroup(n int64, left *int64) error {
	fs, g := o.fs, o.fs.groups[n]
	first := n*fs.inodesGroup + 1
	count := min(fs.inodesGroup-g.unusedInodes, fs.inodes-first+1)
	if g.inodeUninit || count <= 0 {
		return nil
	}
	buf := make([]byte, count*fs.inodeSize)
	if g.inodeTable <= 0 || g.inodeTable > fs.blocks-(count*fs.inodeSize+fs.block-1)/fs.block {
		return nil // damaged: its files are named by no path either
	}
	if _, err := fs.r.ReadAt(buf, g.inodeTable*fs.block); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("inode table of group %d: %w", n, err)
	}
	for i := range count {
		o.add(parseInode(first+i, buf[i*fs.inodeSize:(i+1)*fs.inodeSize]), left)
	}
	return nil
}

func (o *Owners) add(i Inode, left *int64) {
	const reserved, resize = 10, 7 // 7 keeps room for group descriptors
	if i.Mode == 0 && i.Number != Journal || i.Number == resize {
		return
	}
	list := &o.runs
	if i.Links == 0 && i.Number > reserved {
		list = &o.gone
	}
	for r, err := range o.fs.runsWithin(i, left) {
		if err != nil {
			break
		}
		*list = append(*list, Owner{Inode: i.Number, run: r})
	}
	o.size[i.Number] = i.Size
}

// At says whose the byte at off, of the file system, is.
func (o *Owners) At(off int64) (Owner, error) {
	block := off / o.fs.block
	if w, ok := o.search(o.runs, block); ok {
		w.Past = (w.run.Logical+block-w.run.Block)*o.fs.block+off%o.fs.block >= o.size[w.Inode]
		return w, nil
	}
	free, err := o.fs.free(block)
	if err != nil || !free {
		return Owner{Meta: true}, err
	}
	if w, ok := o.search(o.gone, block); ok {
		w.Free = true
		return w, nil
	}
	return Owner{Free: true}, nil
}

func (o *Owners) search(list []Owner, block int64) (Owner, bool) {
	i, exact := slices.BinarySearchFunc(list, block, func(w Owner, b int64) int { return cmp.Compare(w.run.Block, b) })
	if !exact {
		i--
	}
	if i < 0 || block >= list[i].run.Block+list[i].run.Count {
		return Owner{}, false
	}
	return list[i], true
}

// free asks the block bitmap. A group whose bitmap was never written holds
// nothing but its own tables, which are told as free then.
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
