package ext4

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Types of files, as the high bits of a mode.
const (
	typeMask = 0xf000
	typeDir  = 0x4000
	typeFile = 0x8000
	typeLink = 0xa000
)

const (
	flagExtents = 0x80000
	flagInline  = 0x10000000
)

// Inode is one file's record.
type Inode struct {
	Number  int64
	Mode    uint16
	Links   uint16
	Size    int64
	Deleted uint32 // when, in seconds; 0: it is not
	flags   uint32
	block   [60]byte // extents, block numbers, or the data itself
	extra   []byte   // what follows the fixed fields: attributes
}

// IsDir, IsFile and IsLink tell the type.
func (i Inode) IsDir() bool  { return i.Mode&typeMask == typeDir }
func (i Inode) IsFile() bool { return i.Mode&typeMask == typeFile }
func (i Inode) IsLink() bool { return i.Mode&typeMask == typeLink }

// Inode reads inode n, which counts from 1.
func (fs *FS) Inode(n int64) (Inode, error) {
	if n < 1 || n > fs.inodes {
		return Inode{}, fmt.Errorf("%w: inode %d of %d", ErrCorrupt, n, fs.inodes)
	}
	g := fs.groups[(n-1)/fs.inodesGroup]
	at := (n - 1) % fs.inodesGroup * fs.inodeSize
	buf := make([]byte, fs.inodeSize)
	if b := g.inodeTable + at/fs.block; b <= 0 || b >= fs.blocks {
		return Inode{}, fmt.Errorf("%w: the table of inode %d", ErrCorrupt, n)
	}
	if _, err := fs.r.ReadAt(buf, g.inodeTable*fs.block+at); err != nil {
		return Inode{}, fmt.Errorf("inode %d: %w", n, err)
	}
	return parseInode(n, buf), nil
}

func parseInode(n int64, b []byte) Inode {
	le := binary.LittleEndian
	i := Inode{Number: n, Mode: le.Uint16(b), Links: le.Uint16(b[26:]), Deleted: le.Uint32(b[20:]), flags: le.Uint32(b[32:]),
		Size: int64(le.Uint32(b[4:])) | int64(le.Uint32(b[108:]))<<32}
	copy(i.block[:], b[40:])
	if len(b) > 130 {
		if extra := 128 + int(le.Uint16(b[128:])); extra <= len(b) {
			i.extra = b[extra:]
		}
	}
	return i
}

// Read returns up to max bytes of a file or a symbolic link's target.
func (fs *FS) Read(i Inode, max int64) ([]byte, error) {
	n := min(i.Size, max)
	if n < 0 || i.Size < 0 {
		return nil, fmt.Errorf("%w: inode %d has %d bytes", ErrCorrupt, i.Number, i.Size)
	}
	if i.flags&flagInline != 0 {
		b := fs.inline(i)
		return b[:min(n, int64(len(b)))], nil
	}
	if i.IsLink() && i.Size < 60 && i.flags&flagExtents == 0 {
		return i.block[:n:n], nil
	}
	n = min(n, fs.blocks*fs.block)
	var out []byte
	for r, err := range fs.runs(i) {
		at := r.Logical * fs.block
		if err != nil || at >= n {
			return grow(out, n), err
		}
		out = grow(out, at)
		part := make([]byte, min(r.Count*fs.block, n-at))
		if !r.unwritten {
			if _, err := fs.r.ReadAt(part, r.Block*fs.block); err != nil && err != io.EOF {
				return out, err
			}
		}
		out = append(out[:at], part...)
	}
	return grow(out, n), nil
}

// grow lengthens b with zeros, for a hole.
func grow(b []byte, n int64) []byte {
	if int64(len(b)) >= n {
		return b
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// inline is data that lies in the inode itself: the block numbers' place, and
// an attribute named system.data.
func (fs *FS) inline(i Inode) []byte {
	out := append([]byte{}, i.block[:]...)
	const attrMagic, systemIndex = 0xea020000, 7
	le := binary.LittleEndian
	if len(i.extra) < 8 || le.Uint32(i.extra) != attrMagic {
		return out
	}
	list := i.extra[4:] // value offsets count from here
	for e := list; len(e) >= 16 && le.Uint32(e) != 0; {
		nameLen, off, size := int(e[0]), int(le.Uint16(e[2:])), int(le.Uint32(e[8:]))
		if 16+nameLen > len(e) {
			break
		}
		if e[1] == systemIndex && string(e[16:16+nameLen]) == "data" && off <= len(list) && size >= 0 && size <= len(list)-off {
			return append(out, list[off:off+size]...)
		}
		next := (16 + nameLen + 3) / 4 * 4
		if next > len(e) {
			break
		}
		e = e[next:]
	}
	return out
}
