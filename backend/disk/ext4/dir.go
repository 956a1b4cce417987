package ext4

import (
	"encoding/binary"
	"fmt"
)

// Entry is a name in a folder.
type Entry struct {
	Name  string
	Inode int64
	Gone  bool // it was deleted, and its bytes are still there
}

// ReadDir lists a folder, with the deleted names that can still be read.
// Folders with an index read the same: its nodes look like empty entries.
func (fs *FS) ReadDir(i Inode) ([]Entry, error) {
	left := fs.blocks
	return fs.readDir(i, &left)
}

func (fs *FS) readDir(i Inode, left *int64) (out []Entry, err error) {
	if !i.IsDir() {
		return nil, fmt.Errorf("%w: inode %d is no folder", ErrCorrupt, i.Number)
	}
	if i.flags&flagInline != 0 {
		b := fs.inline(i) // four bytes name the parent
		return fs.entries(fs.entries(nil, b[4:60]), b[60:]), nil
	}
	b := make([]byte, fs.block)
	for r, err := range fs.runsWithin(i, left) {
		if err != nil {
			return out, err
		}
		for n := range r.Count {
			if err := fs.readBlock(b, r.Block+n); err != nil {
				return out, err
			}
			out = fs.entries(out, b)
		}
	}
	return out, nil
}

// entries reads one block of a folder. An entry that does not fit ends it.
func (fs *FS) entries(out []Entry, b []byte) []Entry {
	for len(b) >= 8 {
		size := int(binary.LittleEndian.Uint16(b[4:]))
		if fs.block >= 65536 && (size == 65535 || size == 0) {
			size = len(b)
		}
		if size < 8 || size > len(b) {
			return out
		}
		used := 8
		if e, n, ok := fs.entry(b[:size]); ok {
			out, used = append(out, e), n
		} else if e.Gone {
			out, used = append(out, e), n
		}
		out = fs.gone(out, b[used:size])
		b = b[size:]
	}
	return out
}

// entry reads the entry at the start of b; n is the bytes that it takes. One
// whose inode number was cleared is Gone, and not ok.
func (fs *FS) entry(b []byte) (e Entry, n int, ok bool) {
	le := binary.LittleEndian
	length := int(b[6])
	if fs.incompat&featFileType == 0 {
		length = int(le.Uint16(b[6:]))
	}
	n = min((8+length+3)/4*4, len(b))
	if length == 0 || 8+length > len(b) {
		return Entry{}, 8, false
	}
	e = Entry{Name: string(b[8 : 8+length]), Inode: int64(le.Uint32(b))}
	e.Gone = e.Inode == 0
	return e, n, !e.Gone
}

// gone finds deleted entries in the slack behind a live one.
func (fs *FS) gone(out []Entry, b []byte) []Entry {
	for len(b) >= 12 {
		e, n, ok := fs.entry(b)
		if ok && e.Inode <= fs.inodes && plausible(e.Name) {
			e.Gone = true
			out = append(out, e)
			b = b[min(n, len(b)):]
			continue
		}
		b = b[4:]
	}
	return out
}

// plausible tells a name from noise.
func plausible(name string) bool {
	for _, c := range []byte(name) {
		if c < ' ' || c == '/' || c == 0x7f {
			return false
		}
	}
	return name != "." && name != ".."
}
