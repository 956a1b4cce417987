package ext4

import (
	"encoding/binary"
	"fmt"
)

// Entry is a name in a folder.
type Entry struct {
	Name  string
	Inode int64
	Gone  bool // the name was deleted, and its bytes are still in the folder
}

// ReadDir lists a folder, including deleted names that can still be read. A
// folder with an index is read in the same way, since the nodes of the index
// look like empty entries.
func (fs *FS) ReadDir(i Inode) ([]Entry, error) {
	left := fs.once()
	var out []Entry
	err := fs.readDir(i, &left, func(list []Entry) error {
		out = append(out, list...)
		return nil
	})
	return out, err
}

// readDir calls found with the entries of each block of a folder; found must not
// keep the slice. An error of found ends it and is returned.
func (fs *FS) readDir(i Inode, left *int64, found func([]Entry) error) error {
	if !i.IsDir() {
		return fmt.Errorf("%w: inode %d is not a folder", ErrCorrupt, i.Number)
	}
	if i.flags&flagInline != 0 {
		b := fs.inline(i) // four bytes name the parent
		return found(fs.entries(fs.entries(nil, b[4:60]), b[60:]))
	}
	var list []Entry
	b := make([]byte, fs.block)
	for r, err := range fs.runsWithin(i, left, left) {
		if err != nil {
			return err
		}
		for n := range r.Count {
			if err := fs.spend(1); err != nil {
				return err
			}
			if err := fs.readBlock(b, r.Block+n); err != nil {
				return err
			}
			list = fs.entries(list[:0], b)
			if err := found(list); err != nil {
				return err
			}
		}
	}
	return nil
}

// entries reads one block of a folder, up to the first invalid entry.
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

// entry reads the entry at the start of b; n is its length in bytes. If its
// inode number is 0, e.Gone is true and ok is false.
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

// gone finds deleted entries in the unused bytes after a valid one.
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

// plausible reports whether the bytes look like a file name.
func plausible(name string) bool {
	for _, c := range []byte(name) {
		if c < ' ' || c == '/' || c == 0x7f {
			return false
		}
	}
	return name != "." && name != ".."
}
