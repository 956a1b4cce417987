//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/fetch"
)

// What was proven is what runs: a command in the started disk sees the kernel
// that was built, its exit code is ours, and the disk keeps no trace of it.
func TestP_RunTheDisk(t *testing.T) {
	var kernel struct{ Release string }
	evidence(t, status(t, lean)["kernel"].Evidence, &kernel)
	before := artifactSum(t)
	out, stderr, code := ingot(t, "run", lean, "--", "sh", "-c", "uname -r; id -un; sudo touch /trace; exit 7")
	if code != 7 {
		t.Fatalf("exit %d, want the command's 7", code)
	}
	if got := strings.Fields(out); len(got) != 2 || got[0] != kernel.Release {
		t.Errorf("uname and id said %q, want the kernel %s", out, kernel.Release)
	}
	if !strings.Contains(stderr, "ssh -p ") {
		t.Error("it does not say how to log in")
	}
	if after := artifactSum(t); after != before {
		t.Errorf("the artifact was %s and is %s", before, after)
	}
	left, err := filepath.Glob(filepath.Join(cacheDir(), ".tmp-run-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A disk that does not come up is said to be one.
func TestP_RunNothing(t *testing.T) {
	file := filepath.Join(work, "empty-arm64.raw")
	disk := make([]byte, 1<<20)
	disk[510], disk[511] = 0x55, 0xaa // a partition table with no partition
	if err := os.WriteFile(file, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := ingot(t, "run", "--wait", "20s", file)
	if code != 5 || !strings.Contains(stderr, "boot.no-ssh") {
		t.Errorf("exit %d, want 5 and boot.no-ssh:\n%s", code, stderr)
	}
}

func artifactSum(t *testing.T) string {
	t.Helper()
	sum, err := fetch.Digest(artifact(t))
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
