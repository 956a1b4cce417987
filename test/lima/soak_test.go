//go:build e2e_lima

package lima

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ingot/backend/guest/lima"
)

// TestSoakExports: export after export of the running instance while its file
// system is busy, each of them sound; and the way that must not be gone, which
// gives a broken file system within a few tries.
func TestSoakExports(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("it takes long: INGOT_E2E_SOAK=1")
	}
	count, err := strconv.Atoi(os.Getenv("INGOT_E2E_EXPORTS"))
	if err != nil {
		count = 20
	}
	i := running(t)
	dir := t.TempDir()
	underLoad(t, i, func() {
		for n := range count {
			e := export(t, "-o", filepath.Join(dir, "x.qcow2"))
			if e.Method != "drive-backup frozen" {
				t.Errorf("export %d: %s, %s", n, e.Method, e.Why)
			}
			wantSound(t, e.File)
		}
	})
	const tries = 6
	broken := 0
	underLoad(t, i, func() {
		for n := range tries {
			if broken > 0 {
				return
			}
			unsafe := filepath.Join(dir, "unsafe.qcow2")
			// at the pace of a slow disk, in which an emulated guest changes much
			if out, err := exec.Command("qemu-img", "convert", "-U", "-r", "24M", "-O", "qcow2", i.Disk, unsafe).CombinedOutput(); err != nil {
				t.Logf("unsafe way, try %d: %v: %s", n, err, out) // torn tables: broken enough
				broken++
				continue
			}
			if said, ok := sound(t, unsafe, true); !ok {
				broken++
				lines := strings.SplitAfter(said, "\n")
				t.Logf("unsafe way, try %d: %d lines of e2fsck, such as\n%s", n, len(lines), strings.Join(lines[:min(20, len(lines))], ""))
			}
		}
	})
	if broken == 0 {
		t.Errorf("qemu-img convert -U gave %d sound copies: the load is too small to show anything", tries)
	}
}

// TestOtherWays: a running machine whose file systems cannot be frozen, and one
// that is stopped for the export and started again.
func TestOtherWays(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("it takes long: INGOT_E2E_SOAK=1")
	}
	i := running(t)
	dir := t.TempDir()
	t.Run("not frozen", func(t *testing.T) {
		fsfreeze := strings.TrimSpace(must(t, "vm", "shell", vm, "sudo", "sh", "-c", "command -v fsfreeze"))
		must(t, "vm", "shell", vm, "sudo", "mv", fsfreeze, fsfreeze+".away")
		defer must(t, "vm", "shell", vm, "sudo", "mv", fsfreeze+".away", fsfreeze)
		underLoad(t, i, func() {
			e := export(t, "-o", filepath.Join(dir, "crash.qcow2"))
			if e.Method != "drive-backup crash-consistent" || e.Why == "" {
				t.Errorf("taken: %s, %q", e.Method, e.Why)
			}
			if said, ok := sound(t, e.File, true); !ok {
				t.Errorf("e2fsck -fn after the journal:\n%s", said)
			}
		})
	})
	t.Run("stopped for it", func(t *testing.T) {
		e := export(t, "--stop", "-o", filepath.Join(dir, "stopped.qcow2"))
		if e.Method != "stop-export-start" {
			t.Errorf("taken: %s", e.Method)
		}
		wantSound(t, e.File)
		now := found(t, vm)
		if now.Status != lima.Running || now.Phase != lima.Ready || now.DriverPID == i.DriverPID {
			t.Errorf("afterwards: %s %s, process %d, before %d", now.Status, now.Phase, now.DriverPID, i.DriverPID)
		}
	})
}
