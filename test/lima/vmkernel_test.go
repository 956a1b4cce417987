//go:build e2e_lima

package lima

import (
	"strings"
	"testing"
)

const kernelTarget = "debian-12-amd64-lean"

// Last of the tests of the shared instance, whose kernel it changes: a kernel that
// the recipe built goes into a user's running VM, and is what runs
// after it was started again.
func TestInstallKernel(t *testing.T) {
	running(t)
	refused(t, 2, "guest.other-arch arm64", "vm", "install", vm, "debian-12-arm64")
	before := strings.TrimSpace(must(t, "vm", "shell", vm, "uname", "-r"))
	out := must(t, "vm", "install", vm, kernelTarget)
	after := strings.TrimSpace(must(t, "vm", "shell", vm, "uname", "-r"))
	if after == before || !strings.Contains(after, "-ingot-") || !strings.Contains(out, after) {
		t.Errorf("it ran %s and runs %s; install said %q", before, after, out)
	}
	// the kernel that was there can still be chosen
	if have := must(t, "vm", "shell", vm, "ls", "/boot"); !strings.Contains(have, "vmlinuz-"+before) || !strings.Contains(have, "initrd.img-"+after) {
		t.Errorf("/boot holds %s", have)
	}
}
