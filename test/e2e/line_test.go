//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// small are the targets of `make test` by this computer's architecture: one that boots,
// the same one without an init, and the beginning of its files' names.
var small = map[string][3]string{"amd64": {"debian-12-amd64-small", "small-noinit", "debian-12-small-"}, "arm64": {lean, "lean-noinit", "debian-12-lean-"}}[runtime.GOARCH]

// TestLine is the whole line once, for people who have just cloned the
// repository: kernel, disk, boot, publish; and two things that must not pass.
func TestLine(t *testing.T) {
	small, noinit, files := small[0], small[1], small[2]
	if small == "" {
		t.Fatalf("there is no target for %s", runtime.GOARCH)
	}
	if _, stderr, code := ingot(t, "build", small); code != 0 {
		t.Fatalf("build: exit %d\n%s", code, stderr)
	}
	for name, c := range status(t, small) {
		if c.State != "passed" || c.Evidence == "" {
			t.Errorf("%s is %s (%s)", name, c.State, c.Cause)
		}
	}
	// the control of boots: the same disk whose command line names no init
	_, stderr, code := ingot(t, "build", noinit)
	if code != 5 || !strings.Contains(stderr, "cause: kernel.no-init") {
		t.Errorf("a disk that cannot boot: exit %d, want 5 and kernel.no-init\n%s", code, stderr)
	}
	if cells := status(t, noinit); cells["boots"].State != "failed" || cells["published"].State != "unknown" {
		t.Errorf("a disk that cannot boot: %+v", cells)
	}
	// the control of exported, boots and published: one changed byte
	found, err := filepath.Glob(filepath.Join(work, "home", "data", "outputs", "export-*", files+"*.qcow2"))
	if err != nil || len(found) != 1 {
		t.Fatalf("artifacts: %v, %v", found, err)
	}
	f, err := os.OpenFile(found[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	cells := status(t, small)
	for _, name := range []string{"exported", "boots"} {
		if c := cells[name]; c.State != "stale" || c.Cause != "image.digest-changed" {
			t.Errorf("one byte changed: %s is %+v", name, c)
		}
	}
	if _, stderr, code := ingot(t, "publish", small); code == 0 {
		t.Errorf("a disk with a changed byte was published\n%s", stderr)
	}
}
