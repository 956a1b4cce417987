package leak

import (
	"path/filepath"
	"testing"

	"ingot/backend/disk/ext4/ext4test"
)

// A file system that refers to more than its image holds blocks: not all of its
// files were seen.
func TestBomb(t *testing.T) {
	dir := t.TempDir()
	raw, qcow := filepath.Join(dir, "bomb.raw"), filepath.Join(dir, "bomb.qcow2")
	ext4test.Bomb(t, raw)
	ext4test.Tool(t, "", "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow)
	for _, file := range []string{raw, qcow} {
		if l := scanFile(t, file); !found(l, "leak.unread", "file system ext4") || len(l.Blocking()) != 1 || len(l.Areas) != 1 || l.Areas[0].Note == "" {
			t.Errorf("%s: %+v", filepath.Base(file), l)
		}
	}
}
