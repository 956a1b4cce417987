// Package ext4 reads ext2, ext3 and ext4 file systems without mounting them.
//
// It is made for images of any origin: every count, length and block number is
// checked against the file system's size before it is used, and all reading is
// bounded by the number of bytes that the image stores. A damaged file system gives ErrCorrupt, never a panic, an endless
// loop or an excessive allocation. The package does not verify checksums and
// does not replay the journal: it reads what is on the disk. Besides files and
// folders it reports the owner of a block (Owners), and the names of deleted
// files.
//
// External facts: the kernel's Documentation/filesystems/ext4/, and e2fsprogs'
// lib/ext2fs/ext2_fs.h for the bits that it does not describe.
package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Errors of this package; each error wraps one of them or one of the reader.
var (
	ErrNotExt4     = errors.New("not an ext4 file system")
	ErrUnsupported = errors.New("an unsupported ext4 feature")
	ErrCorrupt     = errors.New("the ext4 file system is damaged")
)

// Inodes with a fixed meaning.
const (
	Root    = 2
	Journal = 8
)

// Incompatible features that the reader knows how to read, or may pass over:
// filetype, recover, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode,
// csum_seed, largedir, inline_data, encrypt, casefold.
const (
	readable     = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
	featMetaBG   = 0x10
	feat64bit    = 0x80
	featFileType = 0x2
	featRecover  = 0x4

	featGroupSum, featMetaSum, featBigalloc = 0x10, 0x400, 0x200 // of those that only writers must know
)

const maxInodes = 1 << 28

// FS is an open file system. It is safe for concurrent use if its reader is.
type FS struct {
	r           io.ReaderAt
	block       int64 // bytes
	blocks      int64
	firstBlock  int64
	perGroup    int64 // blocks
	inodesGroup int64
	inodes      int64
	inodeSize   int64
	incompat    uint32
	groups      []group
	checksums   bool // descriptors mark what was never written
	stored      []Range
	storedBytes int64
	work        atomic.Int64 // blocks that may still be read

	table      sync.Mutex
	tableBlock int64 // the block of an inode table that was read last; 0 is none
	tableData  []byte
}

// group has the fields that are needed of a block group's descriptor.
type group struct {
	blockBitmap, inodeBitmap, inodeTable int64
	unusedInodes                         int64 // at the table's end
	blockUninit, inodeUninit             bool
}

// Open reads the superblock and the group descriptors of a file system in the
// first size bytes of r. stored are the ranges of r that are no holes, ascending;
// without any, all of r counts as stored. What an FS reads in its life is limited
// by their length; beyond it the methods return ErrExcess.
func Open(r io.ReaderAt, size int64, stored ...Range) (*FS, error) {
	sb := make([]byte, 1024)
	if _, err := r.ReadAt(sb, 1024); err != nil || binary.LittleEndian.Uint16(sb[0x38:]) != 0xef53 {
		return nil, ErrNotExt4
	}
	fs, err := parseSuper(r, sb, size)
	if err != nil {
		return nil, err
	}
	fs.bound(stored)
	return fs, fs.readGroups(sb)
}

func parseSuper(r io.ReaderAt, sb []byte, size int64) (*FS, error) {
	le := binary.LittleEndian
	fs := &FS{r: r, incompat: le.Uint32(sb[0x60:]), firstBlock: int64(le.Uint32(sb[0x14:])),
		perGroup: int64(le.Uint32(sb[0x20:])), inodesGroup: int64(le.Uint32(sb[0x28:])), inodes: int64(le.Uint32(sb))}
	shift := le.Uint32(sb[0x18:])
	if shift > 6 {
		return nil, fmt.Errorf("%w: block size 1024<<%d", ErrCorrupt, shift)
	}
	fs.block = 1024 << shift
	fs.blocks = int64(le.Uint32(sb[4:]))
	if fs.incompat&feat64bit != 0 {
		fs.blocks |= int64(le.Uint32(sb[0x150:])) << 32
	}
	if fs.incompat&^uint32(readable) != 0 {
		return nil, fmt.Errorf("%w: incompatible features %#x", ErrUnsupported, fs.incompat&^uint32(readable))
	}
	if le.Uint32(sb[0x64:])&featBigalloc != 0 {
		return nil, fmt.Errorf("%w: clusters of several blocks", ErrUnsupported)
	}
	fs.checksums = le.Uint32(sb[0x64:])&(featGroupSum|featMetaSum) != 0
	fs.inodeSize = 128
	if le.Uint32(sb[0x4c:]) > 0 {
		fs.inodeSize = int64(le.Uint16(sb[0x58:]))
	}
	switch {
	case fs.blocks <= 0 || fs.blocks > size/fs.block, fs.firstBlock > 1, fs.perGroup < 8 || fs.perGroup > fs.block*8,
		fs.inodesGroup < 8 || fs.inodesGroup > fs.block*8, fs.inodes > maxInodes,
		fs.inodeSize < 128 || fs.inodeSize > fs.block || fs.inodeSize&(fs.inodeSize-1) != 0:
		return nil, fmt.Errorf("%w: %d blocks of %d bytes in %d, %d inodes of %d", ErrCorrupt, fs.blocks, fs.block, size, fs.inodes, fs.inodeSize)
	}
	return fs, nil
}

// readGroups reads the descriptors. They follow the superblock, or with meta_bg
// lie in the first group of the groups that a block describes.
func (fs *FS) readGroups(sb []byte) error {
	le := binary.LittleEndian
	n := (fs.blocks - fs.firstBlock + fs.perGroup - 1) / fs.perGroup
	size := int64(32)
	if fs.incompat&feat64bit != 0 {
		size = int64(le.Uint16(sb[0xfe:]))
	}
	if size < 32 || size > 1024 || size&(size-1) != 0 || n*fs.inodesGroup > maxInodes || n > fs.blocks {
		return fmt.Errorf("%w: %d groups with descriptors of %d bytes", ErrCorrupt, n, size)
	}
	if n*size > fs.storedBytes+slack {
		return fmt.Errorf("%w: %d groups", ErrExcess, n)
	}
	perBlock := fs.block / size
	firstMeta := int64(le.Uint32(sb[0x104:]))
	buf := make([]byte, fs.block)
	for i := int64(0); i < n; i++ {
		if i%perBlock == 0 {
			at := fs.firstBlock + 1 + i/perBlock
			if fs.incompat&featMetaBG != 0 && i/perBlock >= firstMeta {
				at = fs.firstBlock + i*fs.perGroup
				if hasSuper(i, le.Uint32(sb[0x64:])&1 != 0) {
					at++
				}
			}
			if err := fs.readBlock(buf, at); err != nil {
				return fmt.Errorf("group descriptors: %w", err)
			}
		}
		g := parseGroup(buf[i%perBlock*size:], size)
		if !fs.checksums {
			g.unusedInodes, g.blockUninit, g.inodeUninit = 0, false, false
		}
		fs.groups = append(fs.groups, g)
	}
	fs.inodes = min(fs.inodes, n*fs.inodesGroup)
	return nil
}

func parseGroup(d []byte, size int64) group {
	le := binary.LittleEndian
	g := group{blockBitmap: int64(le.Uint32(d)), inodeBitmap: int64(le.Uint32(d[4:])), inodeTable: int64(le.Uint32(d[8:]))}
	if size >= 64 {
		g.blockBitmap |= int64(le.Uint32(d[32:])) << 32
		g.inodeBitmap |= int64(le.Uint32(d[36:])) << 32
		g.inodeTable |= int64(le.Uint32(d[40:])) << 32
	}
	g.unusedInodes = int64(le.Uint16(d[0x1c:]))
	if size >= 64 {
		g.unusedInodes |= int64(le.Uint16(d[0x32:])) << 16
	}
	flags := le.Uint16(d[0x12:])
	g.inodeUninit, g.blockUninit = flags&1 != 0, flags&2 != 0
	return g
}

// hasSuper reports whether a group starts with a copy of the superblock.
func hasSuper(g int64, sparse bool) bool {
	if g <= 1 || !sparse {
		return true
	}
	for _, base := range []int64{3, 5, 7} {
		n := base
		for n < g {
			n *= base
		}
		if n == g {
			return true
		}
	}
	return false
}

// BlockSize returns the size of a block in bytes.
func (fs *FS) BlockSize() int64 { return fs.block }

// Dirty reports whether the journal has changes that are not written back.
func (fs *FS) Dirty() bool { return fs.incompat&featRecover != 0 }

// readBlock fills buf, at most a block, from the start of block n.
func (fs *FS) readBlock(buf []byte, n int64) error {
	if n <= 0 && !(n == 0 && fs.firstBlock == 0) || n >= fs.blocks {
		return fmt.Errorf("%w: block %d of %d", ErrCorrupt, n, fs.blocks)
	}
	_, err := fs.r.ReadAt(buf, n*fs.block)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: block %d is after the end", ErrCorrupt, n)
	}
	return err
}
