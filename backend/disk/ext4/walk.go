package ext4

import (
	"errors"
	"iter"
	"path"
)

// File is a file in the tree.
type File struct {
	Path  string
	Inode Inode
	Gone  bool // only the deleted name is left
}

// maxFiles bounds a walk; maxPath is how long a path may get.
const (
	maxFiles = 20_000_000
	maxPath  = 4096
)

// Walk yields every file and folder below the root, and deleted names with Gone
// set. A folder is entered once, even if several names refer to it. Damage is
// yielded as an error together with its path, and the walk continues; ErrExcess
// and an error other than ErrCorrupt end it.
func (fs *FS) Walk() iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		root, err := fs.Inode(Root)
		if err != nil {
			yield(File{}, err)
			return
		}
		w := &walk{fs: fs, yield: yield, seen: map[int64]bool{Root: true}, queue: []File{{Path: "/", Inode: root}}, paths: min(fs.storedBytes+slack, maxPaths)}
		left := fs.once() // folders share no blocks
		for len(w.queue) > 0 && w.files < maxFiles {
			dir := w.queue[0]
			w.queue = w.queue[1:]
			err := fs.readDir(dir.Inode, &left, func(list []Entry) error { return w.add(dir, list) })
			if errors.Is(err, errLeft) || err != nil && (!yield(dir, err) || !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrExcess)) {
				return
			}
		}
	}
}

// walk is the state of a Walk.
type walk struct {
	fs    *FS
	yield func(File, error) bool
	seen  map[int64]bool // folders that were queued
	queue []File
	files int
	paths int64 // bytes that paths may still have
}

// errLeft reports that the consumer of a walk has ended it.
var errLeft = errors.New("the walk was left")

// add yields the entries of a folder, and queues the folders among them.
func (w *walk) add(dir File, list []Entry) error {
	for _, e := range list {
		w.files++
		if e.Name == "." || e.Name == ".." || len(dir.Path)+len(e.Name) > maxPath {
			continue
		}
		if w.paths -= int64(len(dir.Path) + len(e.Name)); w.paths < 0 {
			return ErrExcess
		}
		f, err := w.fs.file(dir.Path, e)
		if !w.yield(f, err) {
			return errLeft
		}
		if err == nil && !f.Gone && f.Inode.IsDir() && !w.seen[f.Inode.Number] {
			w.seen[f.Inode.Number] = true
			w.queue = append(w.queue, f)
		}
	}
	return nil
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
