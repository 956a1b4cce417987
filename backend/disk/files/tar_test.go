package files

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/disk/ext4"
	"ingot/backend/disk/ext4/ext4test"
)

// image writes an ext4 with the files, and then changes it by debugfs's commands.
func image(t *testing.T, opts string, write func(tree string), commands ...string) disk.Source {
	t.Helper()
	dir, tree := t.TempDir(), t.TempDir()
	for _, d := range []string{"etc", "usr"} {
		if err := os.Mkdir(filepath.Join(tree, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(tree)
	img, script := filepath.Join(dir, "img"), filepath.Join(dir, "script")
	ext4test.Tool(t, "", append(append([]string{"mke2fs", "-q"}, strings.Fields(opts)...), "-d", tree, img, "24M")...)
	if err := os.WriteFile(script, []byte(strings.Join(commands, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ext4test.Tool(t, "", "debugfs", "-w", "-f", script, img)
	src, err := disk.OpenRaw(img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// The tar has each file with its owner, mode, time, links, device numbers, attributes and
// content; what cannot be in a tar, or is no part of the system, is left out; two tars are
// equal.
func TestRootTar(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, opts := range []string{"-t ext4 -I 256", "-t ext4 -I 256 -O inline_data", "-t ext2 -I 128 -b 1024"} {
		t.Run(opts, func(t *testing.T) {
			src := image(t, opts, func(tree string) {
				hole, err := os.Create(filepath.Join(tree, "hole"))
				if err != nil {
					t.Fatal(err)
				}
				_, werr := hole.WriteAt([]byte("end"), 3<<20)
				if err := errors.Join(werr, hole.Close(), os.WriteFile(filepath.Join(tree, "etc/passwd"), []byte("root\n"), 0o640), os.WriteFile(filepath.Join(tree, "usr/big"), big, 0o755),
					os.Link(filepath.Join(tree, "usr/big"), filepath.Join(tree, "usr/same")), os.Symlink("usr/big", filepath.Join(tree, "short")),
					os.Symlink(strings.Repeat("long/", 30), filepath.Join(tree, "long"))); err != nil {
					t.Fatal(err)
				}
			}, "sif /etc/passwd uid 70000", "sif /etc/passwd gid 42", "sif /etc/passwd mode 0104640", "sif /etc/passwd mtime @1700000000",
				"ea_set /etc/passwd user.note hello", "mknod tty c 5 1", "mknod pipe p", "cd /etc", "mknod disk b 259 3", "cd /", "mknod sock p", "sif /tty mode 020644", "sif /pipe mode 010644", "sif /etc/disk mode 060644", "sif /sock mode 0140666")
			dst := filepath.Join(t.TempDir(), "root.tar")
			if err := RootTar(t.Context(), src, dst); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			f, err := os.Open(dst)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for r := tar.NewReader(f); ; {
				h, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				switch h.Name {
				case "./usr/big":
					if !bytes.Equal(content, big) {
						t.Error("usr/big has other bytes")
					}
				case "./hole":
					if len(content) != 3<<20+3 || string(content[3<<20:]) != "end" || len(bytes.Trim(content[:3<<20], "\x00")) > 0 {
						t.Error("hole has other bytes")
					}
				}
				got[h.Name] = fmt.Sprintf("%c %o %d:%d %s %d,%d %s", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, h.Devmajor, h.Devminor, h.PAXRecords["SCHILY.xattr.user.note"])
				if h.Name == "./etc/passwd" {
					got[h.Name] += fmt.Sprintf(" %d %s", h.ModTime.Unix(), content)
				}
			}
			me := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
			want := map[string]string{
				"./etc/passwd": "0 4640 70000:42  0,0 hello 1700000000 root\n", "./short": "2 777 " + me + " usr/big 0,0 ", "./long": "2 777 " + me + " " + strings.Repeat("long/", 30) + " 0,0 ",
				"./tty": "3 644 0:0  5,1 ", "./pipe": "6 644 0:0  0,0 ", "./etc/disk": "4 644 0:0  259,3 ", "./usr/big": "0 755 " + me + "  0,0 ", "./usr/same": "1 755 " + me + " ./usr/big 0,0 ",
			}
			if strings.HasPrefix(got["./usr/big"], "1") { // the folder has the names in the other order
				want["./usr/big"], want["./usr/same"] = "1 755 "+me+" ./usr/same 0,0 ", "0 755 "+me+"  0,0 "
			}
			for name, w := range want {
				if got[name] != w {
					t.Errorf("%s: %q, want %q", name, got[name], w)
				}
			}
			for name := range got {
				if strings.Contains(name, "lost+found") || name == "./sock" {
					t.Errorf("%s is in the tar", name)
				}
			}
			again := filepath.Join(t.TempDir(), "root.tar")
			if err := RootTar(t.Context(), src, again); err != nil {
				t.Fatal(err)
			}
			a, aerr := os.ReadFile(dst)
			b, berr := os.ReadFile(again)
			if aerr != nil || berr != nil || !bytes.Equal(a, b) {
				t.Errorf("two tars differ: %v, %v", aerr, berr)
			}
		})
	}
}

// Lists of access rights are those that programs see: checked with the bytes that
// getfattr(1) shows for `setfacl -m u:1000:rw` on a file of mode 0644.
func TestACL(t *testing.T) {
	stored := "\x01\x00\x00\x00" + "\x01\x00\x06\x00" + "\x02\x00\x06\x00\xe8\x03\x00\x00" + "\x04\x00\x04\x00" + "\x10\x00\x06\x00" + "\x20\x00\x04\x00"
	want := "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x06\x00\xe8\x03\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x06\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff"
	if got, err := ext4.ACL([]byte(stored)); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "\x02\x00\x00\x00", stored[:10], stored[:len(stored)-1]} {
		if got, err := ext4.ACL([]byte(bad)); err == nil {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}

// Without a root file system there is no tar, and no file; a hole that is far larger than
// the disk ends the tar, and so does a cancel.
func TestRootTarRefuses(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "root.tar")
	left := func() {
		t.Helper()
		if list, err := os.ReadDir(filepath.Dir(dst)); err != nil || len(list) > 0 {
			t.Errorf("left: %v, %v", list, err)
		}
	}
	none := image(t, "-t ext4", func(tree string) {
		if err := os.Remove(filepath.Join(tree, "usr")); err != nil {
			t.Fatal(err)
		}
	})
	if err := RootTar(t.Context(), none, dst); cause.IDOf(err) != "disk.no-root" {
		t.Errorf("no root: %v", err)
	}
	left()
	vast := image(t, "-t ext4", func(tree string) {
		f := filepath.Join(tree, "vast")
		if err := errors.Join(os.WriteFile(f, nil, 0o600), os.Truncate(f, 1<<43)); err != nil {
			t.Fatal(err)
		}
	})
	if err := RootTar(t.Context(), vast, dst); !errors.Is(err, ext4.ErrExcess) || !strings.Contains(err.Error(), "/vast") {
		t.Errorf("a vast hole: %v", err)
	}
	left()
	inline := image(t, "-t ext4 -I 256 -O inline_data", func(tree string) {
		if err := os.WriteFile(filepath.Join(tree, "vast"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}, "sif /vast size 0x80000000000")
	if err := RootTar(t.Context(), inline, dst); !errors.Is(err, ext4.ErrExcess) || !strings.Contains(err.Error(), "/vast") {
		t.Errorf("a vast file in its inode: %v", err)
	}
	left()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ok := image(t, "-t ext4", func(string) {})
	if err := RootTar(ctx, ok, dst); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	left()
}
