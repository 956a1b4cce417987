package ext4

import (
	"errors"
	"iter"
	"path"
)

// File is a file of the tree.
type File struct {
	Path  string
	Inode Inode
	Gone  bool // only a deleted name of it is left
}

// maxFiles bounds a walk; maxPath is how long a path may get.
const (
	maxFiles = 20_000_000
	maxPath  = 4096
)

// Walk yields every file and folder below the root, and, with Gone set, the
// names of deleted ones. A folder is entered once, however often it is named.
// Damage is yielded as an error beside the path where it is, and the walk goes
// on; an error that is not ErrCorrupt ends it.
func (fs *FS) Walk() iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		root, err := fs.Inode(Root)
		if err != nil {
			yield(File{}, err)
			return
		}
		seen := map[int64]bool{Root: true}
		queue := []File{{Path: "/", Inode: root}}
		left := fs.blocks // folders share no blocks
		for n := 0; len(queue) > 0 && n < maxFiles; {
			dir := queue[0]
			queue = queue[1:]
			entries, err := fs.readDir(dir.Inode, &left)
			if err != nil && (!yield(dir, err) || !errors.Is(err, ErrCorrupt)) {
				return
			}
			for _, e := range entries {
				n++
				if e.Name == "." || e.Name == ".." || len(dir.Path)+len(e.Name) > maxPath {
					continue
				}
				f, err := fs.file(dir.Path, e)
				if !yield(f, err) {
					return
				}
				if err == nil && !f.Gone && f.Inode.IsDir() && !seen[f.Inode.Number] {
					seen[f.Inode.Number] = true
					queue = append(queue, f)
				}
			}
		}
	}
}

func (fs *FS) file(dir string, e Entry) (File, error) {
	f := File{Path: path.Join(dir, e.Name), Gone: e.Gone}
	if e.Gone && e.Inode == 0 {
		return f, nil
	}
	var err error
	f.Inode, err = fs.Inode(e.Inode)
	return f, err
}
