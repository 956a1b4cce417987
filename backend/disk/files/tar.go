package files

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/disk/ext4"
	"ingot/backend/home"
)

// NoRootError reports a disk without a root file system that can be read.
type NoRootError struct{ Partitions int }

func (e *NoRootError) Error() string {
	return fmt.Sprintf("none of the %d partitions is an ext4 file system with /etc and /usr, so there is no root file system for a tar", e.Partitions)
}

// CauseID returns the cause.
func (*NoRootError) CauseID() string { return "disk.no-root" }

// ErrorClass returns the class of the error; see package cause.
func (*NoRootError) ErrorClass() cause.Class { return cause.Input }

// tarMode is the mode of tars.
const tarMode = 0o644

// RootTar writes the root file system of a disk as a tar (PAX): its files with owners,
// modes, times in whole seconds, hard links, devices and extended attributes. Sockets and
// lost+found are left out. The same disk gives the same bytes. It appears complete or not
// at all.
func RootTar(ctx context.Context, src disk.Source, dst string) error {
	f, err := root(src)
	if err != nil {
		return err
	}
	return home.CreateAtomic(dst, tarMode, func(out *os.File) error {
		if err := writeTar(ctx, f, out); err != nil {
			return fmt.Errorf("tar of the root file system: %w", err)
		}
		return nil
	})
}

// root returns the first file system that has what a root file system has.
func root(src disk.Source) (*ext4.FS, error) {
	parts, err := Partitions(src)
	if err != nil {
		return nil, err
	}
	var stored []disk.Extent
	for e, err := range src.Extents() {
		if err != nil {
			return nil, err
		}
		stored = append(stored, e)
	}
	for _, p := range parts {
		f, err := ext4.Open(p.Reader(src), p.Length, p.Stored(stored)...)
		if err != nil {
			continue
		}
		top, err := f.Inode(ext4.Root)
		if err != nil {
			continue
		}
		list, err := f.ReadDir(top)
		if err != nil {
			continue
		}
		has := func(name string) bool {
			return slices.ContainsFunc(list, func(e ext4.Entry) bool { return e.Name == name && !e.Gone })
		}
		if has("etc") && has("usr") {
			return f, nil
		}
	}
	return nil, &NoRootError{len(parts)}
}

// CountRoot returns the number of files and folders of a disk's root file system, without
// lost+found and the root itself. Names of one file count one by one.
func CountRoot(src disk.Source) (n int, err error) {
	f, err := root(src)
	if err != nil {
		return 0, err
	}
	for file, err := range f.Walk() {
		if err != nil {
			return n, fmt.Errorf("%s: %w", file.Path, err)
		}
		if !file.Gone && !lost(file.Path) {
			n++
		}
	}
	return n, nil
}

// lost reports whether a path is that of lost+found, or below it.
func lost(path string) bool {
	return path == "/lost+found" || strings.HasPrefix(path, "/lost+found/")
}

func writeTar(ctx context.Context, f *ext4.FS, out io.Writer) error {
	list := []named{{"./", ext4.Root}}
	for file, err := range f.Walk() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
		if file.Gone || lost(file.Path) || file.Inode.IsSocket() {
			continue
		}
		name := "." + file.Path
		if file.Inode.IsDir() {
			name += "/"
		}
		list = append(list, named{name, file.Inode.Number})
	}
	// Each folder is followed by all that is below it: programs set a folder's time when
	// they leave it.
	slices.SortFunc(list, func(a, b named) int {
		return slices.CompareFunc([]byte(a.name), []byte(b.name), func(x, y byte) int { return cmp.Compare(rank(x), rank(y)) })
	})
	t := &tarring{fs: f, w: tar.NewWriter(out), first: map[int64]string{}}
	for _, n := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		i, err := f.Inode(n.inode)
		if err == nil {
			err = t.add(n.name, i)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", n.name[1:], err)
		}
	}
	return t.w.Close()
}

// named is a name of an inode.
type named struct {
	name  string
	inode int64
}

// rank orders the separator of paths before all other bytes.
func rank(b byte) int {
	if b == '/' {
		return -1
	}
	return int(b)
}

// tarring is one running RootTar.
type tarring struct {
	fs    *ext4.FS
	w     *tar.Writer
	first map[int64]string // the first name of an inode that has several
}

// add writes one file.
func (t *tarring) add(name string, i ext4.Inode) error {
	h := &tar.Header{Name: name, Format: tar.FormatPAX, Mode: int64(i.Mode & 0o7777), Uid: int(i.UID), Gid: int(i.GID), ModTime: i.Changed()}
	if i.Links > 1 && !i.IsDir() {
		if first, ok := t.first[i.Number]; ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
			return t.w.WriteHeader(h)
		}
		t.first[i.Number] = name
	}
	switch {
	case i.IsDir():
		h.Typeflag = tar.TypeDir
	case i.IsLink():
		to, err := t.fs.Read(i, maxLink)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(to)
	case i.IsFIFO():
		h.Typeflag = tar.TypeFifo
	case i.IsChar(), i.IsBlock():
		h.Typeflag = tar.TypeChar
		if i.IsBlock() {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = i.Device()
	case i.IsFile():
		h.Typeflag, h.Size = tar.TypeReg, i.Size
	default:
		return fmt.Errorf("%w: its type is %#o", fs.ErrInvalid, i.Mode)
	}
	attrs, err := t.fs.Attributes(i)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		value := attrs[key]
		if strings.HasPrefix(key, "system.posix_acl_") {
			if value, err = ext4.ACL(value); err != nil {
				return fmt.Errorf("attribute %s: %w", key, err)
			}
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+key] = string(value) // as GNU tar and bsdtar write and read them
	}
	if err := t.w.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	if err := t.fs.WriteTo(t.w, i); err != nil {
		return err
	}
	if err := t.w.Flush(); err != nil { // all of its bytes were there
		return errors.Join(ext4.ErrCorrupt, err)
	}
	return nil
}

// maxLink bounds the target of a symbolic link, in bytes: PATH_MAX of Linux.
const maxLink = 4096
