package ext4

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/disk/ext4/ext4test"
)

// What is free can be overwritten: e2fsck finds the file system sound, all files have
// their bytes, and those of a deleted one are gone.
func TestFree(t *testing.T) {
	dir := tree(t)
	secret := bytes.Repeat([]byte("deleted but not gone "), 5000)
	if err := os.WriteFile(filepath.Join(dir, "secret"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []string{"-t ext4", "-t ext4 -b 1024", "-t ext4 -O ^64bit,^metadata_csum", "-t ext4 -O meta_bg,^resize_inode -b 1024", "-t ext2", "-t ext3 -b 1024", "-t ext4 -O ^flex_bg -g 8192"} {
		t.Run(opts, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "img")
			ext4test.Tool(t, "", append(append([]string{"mke2fs", "-q"}, strings.Fields(opts)...), "-d", dir, img, "60M")...)
			ext4test.Tool(t, "", "debugfs", "-w", "-R", "rm /secret", img)
			before, err := os.ReadFile(img)
			if err != nil {
				t.Fatal(err)
			}
			e := open(t, img)
			free, err := e.Free()
			if err != nil {
				t.Fatal(err)
			}
			after := bytes.Clone(before)
			end, sum := int64(-1), int64(0)
			for _, r := range free {
				if r.Start <= end || r.Length <= 0 || r.Start+r.Length > int64(len(after)) {
					t.Fatalf("%+v after %d", r, end)
				}
				end, sum = r.Start+r.Length, sum+r.Length
				for i := r.Start; i < end; i++ {
					after[i] = 0xa5
				}
			}
			if text := ext4test.Tool(t, "", "dumpe2fs", "-h", img); !strings.Contains(text, "Free blocks:") || sum == 0 {
				t.Fatalf("%d bytes are free\n%s", sum, text)
			}
			if err := os.WriteFile(img, after, 0o600); err != nil {
				t.Fatal(err)
			}
			if said := ext4test.Tool(t, "", "e2fsck", "-fn", img); strings.Contains(said, "Fix?") {
				t.Errorf("e2fsck:\n%s", said)
			}
			if err := os.Remove(filepath.Join(dir, "secret")); err != nil {
				t.Fatal(err)
			}
			compare(t, open(t, img), dir)
			if err := os.WriteFile(filepath.Join(dir, "secret"), secret, 0o600); err != nil {
				t.Fatal(err)
			}
			if piece := secret[:200]; !bytes.Contains(before, piece) || bytes.Contains(after, piece) {
				t.Errorf("the deleted file was there before: %v, after: %v", bytes.Contains(before, piece), bytes.Contains(after, piece))
			}
		})
	}
}

// While the journal has changes that are not written back, nothing is known to be free.
func TestFreeOfDirty(t *testing.T) {
	img := filepath.Join(t.TempDir(), "img")
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", img, "40M")
	ext4test.Tool(t, "", "debugfs", "-w", "-R", "feature needs_recovery", img)
	if free, err := open(t, img).Free(); !errors.Is(err, ErrDirty) || free != nil {
		t.Errorf("%v, %v", free, err)
	}
}
