package ext4

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"ingot/backend/disk/ext4/ext4test"
)

// A tree that uses its nodes many times is left with ErrExcess, in little memory and
// long before all of it was seen, whatever is asked of it.
func TestBomb(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bomb")
	ext4test.Bomb(t, file)
	var st syscall.Stat_t
	if err := syscall.Stat(file, &st); err != nil || st.Blocks > 8<<20/512 {
		t.Skipf("the file takes %d bytes: %v; its folder's file system has no holes", st.Blocks*512, err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, read := range map[string]func(fs *FS) error{
		"walk": func(fs *FS) error {
			for _, err := range fs.Walk() {
				if errors.Is(err, ErrExcess) {
					return err
				}
			}
			return nil
		},
		"list": func(fs *FS) error {
			root, err := fs.Inode(Root)
			if err == nil {
				_, err = fs.ReadDir(root)
			}
			return err
		},
		"owners": func(fs *FS) error { _, err := fs.Owners(); return err },
		"read": func(fs *FS) error {
			i, err := fs.Inode(12)
			for n := 0; err == nil && n < 1000; n++ { // as of a folder with many names for one file
				_, err = fs.Read(i, 64<<10)
			}
			return err
		},
	} {
		fs, err := Open(f, 1<<40, Range{0, 4 << 20}, Range{1 << 32, 5 * 4096})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		err = read(fs)
		runtime.ReadMemStats(&after)
		if took := time.Since(began); !errors.Is(err, ErrExcess) || took > time.Minute {
			t.Errorf("%s: %v after %s", name, err, took)
		}
		if live := int64(after.HeapSys) - int64(before.HeapSys); live > 256<<20 {
			t.Errorf("%s: %d MiB were taken", name, live>>20)
		}
	}
}

// All reads of a file system together are bounded, even if each of them is small.
func TestReadsInAll(t *testing.T) {
	dir, img := t.TempDir(), filepath.Join(t.TempDir(), "img")
	if err := os.WriteFile(filepath.Join(dir, "x"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", "-d", dir, img, "40M")
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fs, err := Open(f, 40<<20, Range{0, 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var x Inode
	for file, err := range fs.Walk() {
		if err != nil {
			t.Fatal(err)
		}
		if file.Path == "/x" {
			x = file.Inode
		}
	}
	for n := range 1000 {
		if _, err = fs.Read(x, 1<<20); err == nil {
			continue
		}
		if !errors.Is(err, ErrExcess) || n < 10 {
			t.Errorf("read %d: %v", n, err)
		}
		return
	}
	t.Error("a gigabyte was read of an image that stores 4 MiB")
}

// The stored ranges say what is read of an inode table, and nothing else changes.
func TestStored(t *testing.T) {
	img := filepath.Join(t.TempDir(), "img")
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", "-d", tree(t), img, "40M")
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := func(stored ...Range) int {
		fs, err := Open(f, 40<<20, stored...)
		if err != nil {
			t.Fatal(err)
		}
		o, err := fs.Owners()
		if err != nil {
			t.Fatal(err)
		}
		return len(o.size)
	}
	all := count()
	var odd []Range // cuts inodes
	for at := int64(0); at < 40<<20; at += 1000 {
		odd = append(odd, Range{at, 1000})
	}
	if n := count(odd...); n != all || all < 1500 {
		t.Errorf("%d inodes in pieces, %d in one", n, all)
	}
	if n := count(Range{0, 8192}); n != 0 {
		t.Errorf("%d inodes in a hole", n)
	}
}

// data finds what is stored, at the edges too.
func TestData(t *testing.T) {
	fs := &FS{stored: []Range{{10, 5}, {20, 5}}}
	for _, c := range []struct{ off, end, start, length int64 }{{0, 100, 10, 5}, {10, 12, 10, 2}, {14, 100, 14, 1}, {15, 100, 20, 5}, {24, 100, 24, 1}, {25, 100, 0, 0}, {0, 5, 10, 0}} {
		if d := fs.data(c.off, c.end); d.Length != c.length || c.length > 0 && d.Start != c.start {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}
