package files

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"ingot/backend/disk"
	"ingot/backend/disk/ext4"
)

// ReadFile reads a file of the first file system on a disk that has it: an ext4 whose path
// leads there without symbolic links. It returns at most limit bytes; fs.ErrNotExist if no
// file system that can be read has the file.
func ReadFile(src disk.Source, path string, limit int64) ([]byte, error) {
	parts, err := Partitions(src)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		f, err := ext4.Open(p.Reader(src), p.Length)
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
