package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Types of files that are no folder, file or link, as the high bits of a mode.
const (
	typeFIFO   = 0x1000
	typeChar   = 0x2000
	typeBlock  = 0x6000
	typeSocket = 0xc000
)

// IsFIFO, IsChar, IsBlock and IsSocket report the type.
func (i Inode) IsFIFO() bool   { return i.Mode&typeMask == typeFIFO }
func (i Inode) IsChar() bool   { return i.Mode&typeMask == typeChar }
func (i Inode) IsBlock() bool  { return i.Mode&typeMask == typeBlock }
func (i Inode) IsSocket() bool { return i.Mode&typeMask == typeSocket }

// Changed returns when the content was changed last, in whole seconds.
func (i Inode) Changed() time.Time { return time.Unix(i.changed, 0) }

// Device returns the numbers of a device file. They are stored in the place of the first
// block number, in the old form of 16 bits or in the second place in the new one
// (linux/kdev_t.h: old_decode_dev, new_decode_dev).
func (i Inode) Device() (major, minor int64) {
	le := binary.LittleEndian
	if old := le.Uint32(i.block[:]); old != 0 {
		return int64(old >> 8 & 0xff), int64(old & 0xff)
	}
	dev := le.Uint32(i.block[4:])
	return int64(dev >> 8 & 0xfff), int64(dev&0xff | dev>>12&0xfff00)
}

// WriteTo writes the content of a file, with zeros for its holes. Zeros that are no stored
// bytes are limited too: beyond the limit it returns ErrExcess.
func (fs *FS) WriteTo(w io.Writer, i Inode) error {
	if i.Size < 0 {
		return fmt.Errorf("%w: inode %d has %d bytes", ErrCorrupt, i.Number, i.Size)
	}
	if i.flags&flagInline != 0 {
		b := fs.inline(i)
		b = b[:min(i.Size, int64(len(b)))]
		if _, err := w.Write(b); err != nil {
			return err
		}
		return fs.zeros(w, i, i.Size-int64(len(b)))
	}
	done := int64(0)
	for r, err := range fs.runs(i) {
		if err != nil {
			return err
		}
		at := r.Logical * fs.block
		if at >= i.Size || at < done {
			break
		}
		length := min(r.Count*fs.block, i.Size-at)
		if err := fs.zeros(w, i, at-done); err != nil {
			return err
		}
		if r.unwritten {
			err = fs.zeros(w, i, length)
		} else if err = fs.spend(r.Count); err == nil {
			_, err = io.Copy(w, io.NewSectionReader(fs.r, r.Block*fs.block, length))
		}
		if err != nil {
			return fmt.Errorf("inode %d: %w", i.Number, err)
		}
		done = at + length
	}
	return fs.zeros(w, i, i.Size-done)
}

// zeros writes n zeros.
func (fs *FS) zeros(w io.Writer, i Inode, n int64) error {
	if err := fs.spend((n + fs.block - 1) / fs.block); err != nil {
		return fmt.Errorf("inode %d has a hole of %d bytes: %w", i.Number, n, err)
	}
	for zero := make([]byte, min(n, 1<<20)); n > 0; {
		part := zero[:min(n, int64(len(zero)))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// attrPrefixes are the first parts of the names of attributes, by the index that is
// stored (fs/ext4/xattr.h).
var attrPrefixes = map[byte]string{1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security.", 7: "system.", 8: "system.richacl"}

// attrMagic starts a list of attributes.
const attrMagic = 0xea020000

// Attributes returns the extended attributes of a file: those in its inode, and those in
// a block of their own. One whose value is in an inode of its own is ErrUnsupported.
func (fs *FS) Attributes(i Inode) (map[string][]byte, error) {
	le := binary.LittleEndian
	out := map[string][]byte{}
	if i.hasAttributes() {
		if err := attributes(out, i.extra[4:], i.extra[4:], i.Number); err != nil {
			return nil, err
		}
	}
	if i.attrs != 0 {
		b := make([]byte, fs.block)
		if err := fs.spend(1); err != nil {
			return nil, err
		}
		if err := fs.readBlock(b, i.attrs); err != nil {
			return nil, fmt.Errorf("attributes of inode %d: %w", i.Number, err)
		}
		if le.Uint32(b) != attrMagic {
			return nil, fmt.Errorf("%w: attributes of inode %d", ErrCorrupt, i.Number)
		}
		if err := attributes(out, b[32:], b, i.Number); err != nil {
			return nil, err
		}
	}
	delete(out, "system.data") // the content of a small file
	return out, nil
}

// hasAttributes reports whether the inode has a list of attributes.
func (i Inode) hasAttributes() bool {
	return len(i.extra) >= 8 && binary.LittleEndian.Uint32(i.extra) == attrMagic
}

// attribute is an entry of a list of attributes. Its name is "" if its prefix is not known,
// or if the list ends within it.
type attribute struct {
	name      string
	off, size int64 // of the value
	inode     uint32
	cut       bool // the list ends within the entry
}

// within reports whether the value lies in the bytes that its offset counts from.
func (a attribute) within(values []byte) bool {
	return a.off <= int64(len(values)) && a.size <= int64(len(values))-a.off
}

// entriesOf yields the entries of a list of attributes.
func entriesOf(list []byte) iter.Seq[attribute] {
	return func(yield func(attribute) bool) {
		le := binary.LittleEndian
		for e := list; len(e) >= 16 && le.Uint32(e) != 0; {
			nameLen := int(e[0])
			if 16+nameLen > len(e) {
				yield(attribute{cut: true})
				return
			}
			a := attribute{off: int64(le.Uint16(e[2:])), size: int64(le.Uint32(e[8:])), inode: le.Uint32(e[4:])}
			if prefix := attrPrefixes[e[1]]; prefix != "" {
				a.name = prefix + string(e[16:16+nameLen])
			}
			next := (16 + nameLen + 3) / 4 * 4
			if !yield(a) || next > len(e) {
				return
			}
			e = e[next:]
		}
	}
}

// attributes adds the entries of a list to out; the offsets of their values count from the
// start of values.
func attributes(out map[string][]byte, list, values []byte, inode int64) error {
	for a := range entriesOf(list) {
		switch {
		case a.cut || !a.within(values):
			return fmt.Errorf("%w: an attribute of inode %d", ErrCorrupt, inode)
		case a.inode != 0:
			return fmt.Errorf("%w: the attribute %s of inode %d has an inode", ErrUnsupported, a.name, inode)
		case a.name != "":
			out[a.name] = bytes.Clone(values[a.off : a.off+a.size])
		}
	}
	return nil
}

// errACL reports an access list that is no one of ext4's.
var errACL = errors.New("not an access list of ext4")

// ACL returns the value of an attribute system.posix_acl_… as the kernel shows it to
// programs: a list of version 2 with ids in each entry (linux/posix_acl_xattr.h), from
// ext4's own version 1 (fs/ext4/acl.h), in which only entries of named users and groups
// have an id.
func ACL(stored []byte) ([]byte, error) {
	le := binary.LittleEndian
	if len(stored) < 4 || le.Uint32(stored) != 1 {
		return nil, errACL
	}
	const named = 0x02 | 0x08 // ACL_USER, ACL_GROUP
	out := le.AppendUint32(nil, 2)
	for b := stored[4:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, errACL
		}
		tag, perm, id := le.Uint16(b), le.Uint16(b[2:]), ^uint32(0)
		b = b[4:]
		if tag&named != 0 && tag&^named == 0 {
			if len(b) < 4 {
				return nil, errACL
			}
			id, b = le.Uint32(b), b[4:]
		}
		out = le.AppendUint32(le.AppendUint16(le.AppendUint16(out, tag), perm), id)
	}
	return out, nil
}
