//go:build linux

package backend

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A queue whose disk was full takes jobs again as soon as there is room, from the
// same owner. It needs root, for a disk of its own.
func TestQueueAfterFullDisk(t *testing.T) {
	b := ownedHome(t)
	disk := filepath.Join(b.Home.Data, "queue")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("no disk of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	own(t)
	c := b.Client()
	build := func() error {
		id, err := c.Submit(t.Context(), Submission{Target: "nowhere"})
		if err == nil {
			err = c.Follow(t.Context(), "nowhere", id, 0, func(Event) {})
			if ClassOf(err) == ClassMissing { // the guest has no such compiler
				err = nil
			}
		}
		return err
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	stuff := filepath.Join(disk, "stuff")
	if err := os.WriteFile(stuff, make([]byte, 64<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	var err error
	for n := 0; err == nil && n < 100; n++ { // some go into the last page
		err = build()
	}
	if err == nil {
		t.Fatal("a hundred jobs were taken on a full disk")
	}
	t.Log(err)
	if err := os.Remove(stuff); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := build(); err != nil {
		t.Errorf("with room again, after %s: %v", time.Since(began), err)
	}
}
