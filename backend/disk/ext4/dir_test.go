package ext4

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/disk/ext4/ext4test"
)

// find gives the inode of a path.
func find(t *testing.T, e *FS, path string) Inode {
	t.Helper()
	for f, err := range e.Walk() {
		if err != nil {
			t.Fatal(err)
		}
		if f.Path == path && !f.Gone {
			return f.Inode
		}
	}
	t.Fatalf("there is no %s", path)
	return Inode{}
}

// A folder is listed with its deleted names, whether its entries lie in a block
// or in the inode itself; a file is not a folder.
func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"keep", "gone"} {
		p := filepath.Join(dir, "d", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(name), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for opts, block := range map[string]int64{"-t ext4 -b 4096": 4096, "-t ext4 -b 1024": 1024, "-t ext4 -b 4096 -O inline_data -I 256": 4096} {
		img := filepath.Join(t.TempDir(), "img")
		ext4test.Tool(t, "", append(append([]string{"mke2fs", "-q"}, strings.Fields(opts)...), "-d", dir, img, "16M")...)
		ext4test.Tool(t, "", "debugfs", "-w", "-R", "rm /d/gone", img)
		e := open(t, img)
		if e.BlockSize() != block {
			t.Errorf("%s: blocks of %d bytes", opts, e.BlockSize())
		}
		list, err := e.ReadDir(find(t, e, "/d"))
		if err != nil {
			t.Fatal(err)
		}
		gone := map[string]bool{}
		for _, entry := range list {
			gone[entry.Name] = entry.Gone
		}
		if g, ok := gone["keep"]; !ok || g {
			t.Errorf("%s: %+v", opts, list)
		}
		if g, ok := gone["gone"]; !ok || !g {
			t.Errorf("%s: the deleted name is not told as such: %+v", opts, list)
		}
		if _, err := e.ReadDir(find(t, e, "/d/keep")); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "is not a folder") {
			t.Errorf("%s: a file: %v", opts, err)
		}
	}
}

// A file system whose journal was not written back says so.
func TestDirty(t *testing.T) {
	img := filepath.Join(t.TempDir(), "img")
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", img, "16M")
	if open(t, img).Dirty() {
		t.Error("dirty when new")
	}
	ext4test.Tool(t, "", "debugfs", "-w", "-R", "feature needs_recovery", img)
	if !open(t, img).Dirty() {
		t.Error("not dirty with a journal to be replayed")
	}
}

// Copies of the superblock lie in the groups 0, 1 and the powers of 3, 5 and 7,
// or in all of a file system without sparse_super (Linux,
// Documentation/filesystems/ext4/blockgroup.rst).
func TestHasSuper(t *testing.T) {
	sparse := map[int64]bool{}
	for _, g := range []int64{0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125} {
		sparse[g] = true
	}
	for g := range int64(130) {
		if got := hasSuper(g, true); got != sparse[g] {
			t.Errorf("group %d: %v", g, got)
		}
		if !hasSuper(g, false) {
			t.Errorf("group %d of a file system with all copies has none", g)
		}
	}
}
