package leak

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"ingot/backend/disk"
	"ingot/backend/disk/ext4"
)

// ReadFile reads a file of the first file system on a disk that has it: an ext4 whose path
// leads there without symbolic links. It returns at most limit bytes; fs.ErrNotExist if no
// file system that can be read has the file.
func ReadFile(src disk.Source, path string, limit int64) ([]byte, error) {
	parts, err := partitions(src)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		f, err := ext4.Open(section{src, p.start}, p.length)
		if err != nil {
			continue // another file system, or none
		}
		if text, err := fileIn(f, path, limit); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

func fileIn(f *ext4.FS, path string, limit int64) ([]byte, error) {
	at, err := f.Inode(ext4.Root)
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if !at.IsDir() {
			return nil, fs.ErrNotExist
		}
		list, err := f.ReadDir(at)
		if err != nil {
			return nil, err
		}
		next := int64(0)
		for _, e := range list {
			if e.Name == name && !e.Gone {
				next = e.Inode
			}
		}
		if next == 0 {
			return nil, fs.ErrNotExist
		}
		if at, err = f.Inode(next); err != nil {
			return nil, err
		}
	}
	if !at.IsFile() {
		return nil, fs.ErrNotExist
	}
	return f.Read(at, limit)
}

// AllRead reports whether every partition of a disk is an ext4 that can be read, or has no
// files of a system: swap, an EFI system partition, boot code, nothing.
func AllRead(src disk.Source) (bool, error) {
	parts, err := partitions(src)
	if err != nil {
		return false, err
	}
	for _, p := range parts {
		if _, err := ext4.Open(section{src, p.start}, p.length); err == nil {
			continue
		}
		name, err := sniff(src, p)
		if err != nil {
			return false, err
		}
		if !searched[name] && !p.boot {
			return false, nil
		}
	}
	return true, nil
}

// Free returns the ranges of a disk that no file has, of those file systems that can be
// read: ext4 that was unmounted. They may contain what was deleted.
func Free(src disk.Source) (out []disk.Extent, err error) {
	parts, err := partitions(src)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(parts, func(a, b partition) int { return cmp.Compare(a.start, b.start) })
	end := int64(0)
	for _, p := range parts {
		f, err := ext4.Open(section{src, p.start}, p.length)
		if err != nil || p.start < end { // another file system, or partitions that overlap
			continue
		}
		free, err := f.Free()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		for _, r := range free {
			out = append(out, disk.Extent{Offset: p.start + r.Start, Length: r.Length})
		}
		end = p.start + p.length
	}
	return out, nil
}
