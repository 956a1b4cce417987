package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/disk/ext4/ext4test"
)

// tree makes files of all sizes, a hole, links, and a folder that needs an
// index.
func tree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	rnd := rand.New(rand.NewSource(7))
	put := func(name string, size int) {
		b := make([]byte, size)
		rnd.Read(b)
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for i, size := range []int{0, 1, 40, 100, 159, 160, 1023, 1024, 4097, 70000, 3 << 20} {
		put(fmt.Sprintf("a/b/file%d", i), size)
	}
	for i := range 1500 {
		put(fmt.Sprintf("many/a-name-that-is-rather-long-%d", i), 3)
	}
	for _, l := range [][2]string{{"/a/b/file1", "short"}, {"/" + strings.Repeat("long/", 30), "a/long"}} {
		if err := os.Symlink(l[0], filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, "a/b/file9"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("behind a hole"), 900000); err != nil { // mke2fs 1.47.0 drops a hole at the end when it has inline_data
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, img string) *FS {
	t.Helper()
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What mke2fs wrote, with each set of features that distributions use, is read
// back: all names, all bytes.
func TestReadsWhatMke2fsWrites(t *testing.T) {
	dir := tree(t)
	for _, opts := range []string{
		"-t ext4", "-t ext4 -b 1024", "-t ext4 -O inline_data -I 256", "-t ext4 -O ^64bit,^metadata_csum", "-t ext4 -O metadata_csum_seed,ea_inode",
		"-t ext4 -O meta_bg,^resize_inode -b 1024", "-t ext2", "-t ext3 -b 1024", "-t ext4 -b 2048 -I 128", "-t ext4 -O casefold,large_dir",
	} {
		t.Run(opts, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "img")
			args := append(append([]string{"mke2fs", "-q"}, strings.Fields(opts)...), "-d", dir, img, "40M")
			ext4test.Tool(t, "", args...)
			ext4test.Tool(t, "", "e2fsck", "-fyD", img) // makes the index of the big folder
			compare(t, open(t, img), dir)
		})
	}
}

func compare(t *testing.T, e *FS, dir string) {
	t.Helper()
	found := map[string]Inode{}
	for f, err := range e.Walk() {
		if err != nil {
			t.Fatalf("%s: %v", f.Path, err)
		}
		if !f.Gone {
			found[f.Path] = f.Inode
		}
	}
	owners, err := e.Owners()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		n++
		i, ok := found[strings.TrimPrefix(p, dir)]
		if !ok {
			return fmt.Errorf("%s is missing", p)
		}
		return same(e, owners, i, p, d)
	})
	if err != nil || n < 1500 || len(found) != n+1 { // and lost+found
		t.Errorf("%d of %d: %v", len(found), n, err)
	}
}

func same(e *FS, owners *Owners, i Inode, p string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		if !i.IsDir() {
			return fmt.Errorf("%s is no folder", p)
		}
		return nil
	case d.Type()&fs.ModeSymlink != 0:
		want, err := os.Readlink(p)
		got, rerr := e.Read(i, 4096)
		if string(got) != want || !i.IsLink() {
			return errors.Join(fmt.Errorf("%s: %q, want %q", p, got, want), err, rerr)
		}
		return nil
	}
	want, err := os.ReadFile(p)
	got, rerr := e.Read(i, 1<<30)
	if err != nil || rerr != nil || !bytes.Equal(got, want) {
		return errors.Join(fmt.Errorf("%s: %d bytes of %d", p, len(got), len(want)), err, rerr)
	}
	for r := range e.runs(i) {
		w, err := owners.At(r.Block * e.block)
		if err != nil || w.Inode != i.Number || w.Free || w.Past {
			return fmt.Errorf("%s: its block %d is of %+v: %w", p, r.Block, w, err)
		}
	}
	return nil
}

// A deleted file's block is known as free, with the name that it last had.
func TestDeleted(t *testing.T) {
	img := filepath.Join(t.TempDir(), "img")
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", "-d", tree(t), img, "40M")
	e := open(t, img)
	var at, ino int64
	for f := range e.Walk() {
		if f.Path == "/a/b/file10" {
			ino = f.Inode.Number
			for r := range e.runs(f.Inode) {
				at = r.Block * e.block
			}
		}
	}
	ext4test.Tool(t, "", "debugfs", "-w", "-R", "rm /a/b/file10", img)
	e = open(t, img)
	owners, err := e.Owners()
	if err != nil {
		t.Fatal(err)
	}
	w, err := owners.At(at)
	if err != nil || !w.Free || w.Inode != ino {
		t.Errorf("the block is of %+v, %v; want free, inode %d", w, err, ino)
	}
	name := ""
	for f := range e.Walk() {
		if f.Path == "/a/b/file10" && !f.Gone {
			t.Error("it is still there")
		} else if f.Path == "/a/b/file10" {
			name = f.Path
		}
	}
	if name == "" {
		t.Error("its name was not found")
	}
	if w, err := owners.At(e.block * e.groups[0].inodeTable); err != nil || !w.Meta {
		t.Errorf("the inode table is of %+v, %v", w, err)
	}
}

// Damage ends in an error, in bounded time; never in a panic.
func FuzzExt4(f *testing.F) {
	img := filepath.Join(f.TempDir(), "img")
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), bytes.Repeat([]byte("x"), 5000), 0o600); err != nil {
		f.Fatal(err)
	}
	for _, opts := range []string{"-t ext4 -O inline_data", "-t ext2"} {
		ext4test.Tool(f, "", append(append([]string{"mke2fs", "-q", "-F", "-N", "16", "-b", "1024"}, strings.Fields(opts)...), "-d", dir, img, "100k")...)
		b, err := os.ReadFile(img)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) { readAll(bytes.NewReader(data), int64(len(data))) })
}

func readAll(r io.ReaderAt, size int64) {
	e, err := Open(r, size)
	if err != nil {
		return
	}
	n := 0
	for f, err := range e.Walk() {
		if n++; n > 1000 {
			return
		}
		if err == nil && f.Inode.IsFile() {
			_, _ = e.Read(f.Inode, 1<<16)
		}
	}
	if o, err := e.Owners(); err == nil {
		for off := int64(0); off < size; off += e.block {
			_, _ = o.At(off)
		}
	}
}

// Bytes are bent where a file system can hurt most: its superblock, group
// descriptors, inodes, trees and folders.
func TestBent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), bytes.Repeat([]byte("x"), 30000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []string{"-t ext4 -O inline_data", "-t ext4", "-t ext2"} {
		img := filepath.Join(t.TempDir(), "img")
		ext4test.Tool(t, "", append(append([]string{"mke2fs", "-q", "-F", "-N", "16", "-b", "1024"}, strings.Fields(opts)...), "-d", dir, img, "200k")...)
		good, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewSource(3))
		for range 3000 {
			b := bytes.Clone(good)
			for range 1 + rnd.Intn(8) {
				b[1024+rnd.Intn(12000)] = byte(rnd.Intn(256))
			}
			readAll(bytes.NewReader(b), int64(len(b)))
		}
	}
}
