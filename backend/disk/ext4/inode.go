package ext4

import (
	"bytes"
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

// Inode is a file's record.
type Inode struct {
	Number  int64
	Mode    uint16
	Links   uint16
	Size    int64
	Deleted uint32 // time of deletion, Unix seconds; 0 if not deleted
	UID     uint32
	GID     uint32
	flags   uint32
	block   [60]byte // extents, block numbers, or the data itself
	extra   []byte   // the bytes after the fixed fields: attributes
	changed int64    // seconds since 1970 of the last change of the content
	attrs   int64    // block of further attributes; 0 is none
}

// IsDir, IsFile and IsLink report the type.
func (i Inode) IsDir() bool  { return i.Mode&typeMask == typeDir }
func (i Inode) IsFile() bool { return i.Mode&typeMask == typeFile }
func (i Inode) IsLink() bool { return i.Mode&typeMask == typeLink }

// Inode reads inode n; the first is 1.
func (fs *FS) Inode(n int64) (Inode, error) {
	if n < 1 || n > fs.inodes {
		return Inode{}, fmt.Errorf("%w: inode %d of %d", ErrCorrupt, n, fs.inodes)
	}
	g := fs.groups[(n-1)/fs.inodesGroup]
	at := (n - 1) % fs.inodesGroup * fs.inodeSize
	b := g.inodeTable + at/fs.block
	if b <= 0 || b >= fs.blocks {
		return Inode{}, fmt.Errorf("%w: the table of inode %d", ErrCorrupt, n)
	}
	fs.table.Lock()
	defer fs.table.Unlock()
	if fs.tableBlock != b { // the files of a folder are mostly close to each other
		if fs.tableData == nil {
			fs.tableData = make([]byte, fs.block)
		}
		fs.tableBlock = 0
		if err := fs.readBlock(fs.tableData, b); err != nil {
			return Inode{}, fmt.Errorf("inode %d: %w", n, err)
		}
		fs.tableBlock = b
	}
	return parseInode(n, bytes.Clone(fs.tableData[at%fs.block:at%fs.block+fs.inodeSize])), nil
}

func parseInode(n int64, b []byte) Inode {
	le := binary.LittleEndian
	i := Inode{Number: n, Mode: le.Uint16(b), Links: le.Uint16(b[26:]), Deleted: le.Uint32(b[20:]), flags: le.Uint32(b[32:]),
		Size: int64(le.Uint32(b[4:])) | int64(le.Uint32(b[108:]))<<32}
	copy(i.block[:], b[40:])
	i.UID = uint32(le.Uint16(b[2:])) | uint32(le.Uint16(b[120:]))<<16
	i.GID = uint32(le.Uint16(b[24:])) | uint32(le.Uint16(b[122:]))<<16
	i.changed = int64(int32(le.Uint32(b[16:])))
	i.attrs = int64(le.Uint32(b[104:])) | int64(le.Uint16(b[118:]))<<32
	if len(b) > 130 {
		extra := 128 + int(le.Uint16(b[128:]))
		if extra <= len(b) {
			i.extra = b[extra:]
		}
		if extra >= 140 && len(b) >= 140 {
			i.changed += int64(le.Uint32(b[136:])&3) << 32 // the epoch
		}
	}
	return i
}

// Read returns up to max bytes of a file, or of a symbolic link's target.
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
	if err := fs.spend((n + fs.block - 1) / fs.block); err != nil { // a hole takes memory too
		return nil, fmt.Errorf("inode %d: %w", i.Number, err)
	}
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

// grow appends n zeros, for a hole.
func grow(b []byte, n int64) []byte {
	if int64(len(b)) >= n {
		return b
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// inline returns data that is stored in the inode: in the place of the block
// numbers, and in an attribute named system.data.
func (fs *FS) inline(i Inode) []byte {
	out := append([]byte{}, i.block[:]...)
	if !i.hasAttributes() {
		return out
	}
	list := i.extra[4:] // value offsets count from here
	for a := range entriesOf(list) {
		if a.name == "system.data" && a.within(list) {
			return append(out, list[a.off:a.off+a.size]...)
		}
	}
	return out
}
