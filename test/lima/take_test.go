//go:build e2e_lima

package lima

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ingot/backend/guest"
	"ingot/backend/guest/lima"
)

const kernelTarget = "debian-12-amd64-lean"

// TestTakeTheDisk is the second way to an image: in a copy of the shared instance,
// with secrets live and deleted in it, a kernel that the recipe built is installed
// and runs after a restart; the instance is sanitised and shut down; the scan of
// its disk finds nothing that blocks – before, it does (TestExport) –, and that
// disk boots, with the kernel, up to a login and a command's answer.
func TestTakeTheDisk(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("it takes long: INGOT_E2E_SOAK=1")
	}
	const name = "clean"
	plant(t, running(t))
	stopped(t)
	must(t, "vm", "clone", vm, name)
	t.Cleanup(func() { ingot(t, "vm", "delete", name, "--force", "--yes", name) })
	must(t, "vm", "start", name)
	refused(t, 2, "guest.other-arch arm64", "vm", "install", name, "debian-12-arm64")
	uname := func() string { return strings.TrimSpace(must(t, "vm", "shell", name, "uname", "-r")) }
	before, installed := uname(), ""
	stage(t, "kernel installed", func() {
		out, said, code := ingot(t, "vm", "install", name, kernelTarget)
		if code != 0 {
			t.Fatalf("exit code %d\n%s%s", code, out, said)
		}
		after := uname()
		if after == before || !strings.Contains(after, "-ingot-") || !strings.Contains(out, after) {
			t.Errorf("it ran %s and runs %s; install said %q", before, after, out)
		}
		installed = after
		// the kernel that was there can still be chosen, and was the default until this one ran
		if have := must(t, "vm", "shell", name, "ls", "/boot"); !strings.Contains(have, "vmlinuz-"+before) || !strings.Contains(have, "initrd.img-"+after) {
			t.Errorf("/boot holds %s", have)
		}
		if chosen := must(t, "vm", "shell", name, "cat", "/etc/default/grub.d/zz-ingot-kernel.cfg"); !strings.Contains(chosen, after) {
			t.Errorf("GRUB's default is %s", chosen)
		}
		if strings.Contains(said, "once more") {
			t.Errorf("GRUB did not take the kernel once: %s", said)
		}
	})
	g := opened(t, found(t, name))
	// of what people put anywhere nobody but they knows; once deleted, it is ours
	err := g.Run(context.Background(), guest.Cmd{Argv: []string{"sudo", "rm", "/srv/live"}})
	_ = g.Close()
	if err != nil {
		t.Fatal(err)
	}
	stage(t, "sanitised", func() { must(t, "vm", "sanitise", name, "--yes", name) })
	if i := found(t, name); i.Status != lima.Stopped {
		t.Errorf("it is %s after it was sanitised", i.Status)
	}
	e := exportOf(t, name, "-o", filepath.Join(t.TempDir(), "clean-amd64.qcow2"))
	for _, f := range e.Leaks.Findings {
		if f.Severity == "blocks" {
			t.Errorf("left: %s %s %s", f.Rule, f.In, f.Path)
		} else {
			t.Logf("note: %s %s %s", f.Rule, f.In, f.Path)
		}
	}
	wantSound(t, e.File)
	stage(t, "proved", func() {
		out, errs, code := ingot(t, "prove", e.File)
		id := regexp.MustCompile(`proof-\w+`).FindString(out)
		if code != 0 || id == "" {
			t.Fatalf("ingot prove: exit code %d\n%s%s", code, out, errs)
		}
		var proof struct {
			Predicate struct{ Verdict, KernelRelease string }
		}
		if err := json.Unmarshal([]byte(must(t, "evidence", "show", id)), &proof); err != nil || proof.Predicate.Verdict != "passed" || proof.Predicate.KernelRelease != installed {
			t.Errorf("%v %+v, want %s", err, proof, installed)
		}
	})
}
