//go:build e2e_lima

package lima

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
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
			// compressing takes as long as it takes an emulated guest to change much
			if out, err := exec.Command("qemu-img", "convert", "-U", "-c", "-O", "qcow2", i.Disk, unsafe).CombinedOutput(); err != nil {
				t.Logf("unsafe way, try %d: %v: %s", n, err, out) // torn tables: broken enough
				broken++
				continue
			}
			if said, ok := sound(t, unsafe, true); !ok {
				broken++
				t.Logf("unsafe way, try %d:\n%s", n, said)
			}
		}
	})
	if broken == 0 {
		t.Errorf("qemu-img convert -U gave %d sound copies: the load is too small to show anything", tries)
	}
}
