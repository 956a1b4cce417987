package lima

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/qemu"
)

// A VM is not stopped without consent, and a disk that is being written is not read.
func TestCopyMethod(t *testing.T) {
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	for name, c := range map[string]struct {
		status Status
		driver string
		stop   bool
		agree  func(string) bool
		disk   string
		want   string // method or cause
	}{
		"stopped":            {Stopped, "qemu", false, nil, "d", CopyDirect},
		"stopped, vz":        {Stopped, "vz", false, no, "d", CopyDirect},
		"stopped, --stop":    {Stopped, "vz", true, nil, "d", CopyDirect},
		"running":            {Running, "qemu", false, no, "d", CopyFrozen},
		"running, --stop":    {Running, "qemu", true, nil, "d", CopyStopped},
		"running vz":         {Running, "vz", false, nil, "d", "vm.must-stop"},
		"running vz, no":     {Running, "vz", false, no, "d", "vm.must-stop"},
		"running vz, yes":    {Running, "vz", false, yes, "d", CopyStopped},
		"running vz, --stop": {Running, "vz", true, no, "d", CopyStopped},
		"running krunkit":    {Running, "krunkit", false, nil, "d", "vm.must-stop"},
		"broken":             {Broken, "qemu", true, yes, "d", "lima.broken"},
		"unknown":            {Unknown, "qemu", true, yes, "d", "lima.broken"},
		"no disk":            {Stopped, "qemu", false, nil, "", "vm.no-disk"},
	} {
		got, err := Instance{Name: "x", Status: c.status, VMType: c.driver, Disk: c.disk}.CopyMethod(c.stop, c.agree)
		if err != nil {
			got = cause.IDOf(err)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Every failure of QEMU's copy has a cause with a fix.
func TestBackupCauses(t *testing.T) {
	for want, err := range map[string]error{"vm.busy": qemu.ErrMonitorBusy, "vm.gone": qemu.ErrMonitorGone, "vm.no-drive": qemu.ErrNoDrive} {
		err := backupCause(fmt.Errorf("export: %w", err))
		pack, perr := cause.Shipped()
		if perr != nil {
			t.Fatal(perr)
		}
		if f, ok := pack.Describe(want); cause.IDOf(err) != want || !ok || f.Fix == "" {
			t.Errorf("%v: cause %q, fix %q", err, cause.IDOf(err), f.Fix)
		}
	}
	if err := errors.New("x"); backupCause(err) != err {
		t.Error("an error without a cause got one")
	}
}

// A copy may be larger than the disk's blocks if the base is compressed, and there is
// QEMU's copy as well.
func TestCopyRoom(t *testing.T) {
	for _, c := range []struct {
		base   string
		method string
		want   uint64
	}{{"", CopyDirect, 10}, {"", CopyFrozen, 20}, {"b", CopyDirect, 30}, {"b", CopyFrozen, 60}} {
		if got := (Instance{Base: c.base, DiskAllocated: 10, DiskBytes: 30}).CopyRoom(c.method); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// The disk of a stopped instance is read once; one that is started meanwhile is not a
// copy.
func TestCopyDirect(t *testing.T) {
	s := store(t, map[string]string{"one/lima.yaml": "vmType: qemu\narch: x86_64\n"})
	t.Setenv("LIMA_HOME", s.Dir)
	file := filepath.Join(s.Dir, "one", "disk")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := Store{}.Instance("one")
	if err != nil || i.Status != Stopped {
		t.Fatalf("%+v, %v", i, err)
	}
	var size int64
	c := Copier{Instance: i, Notify: func(string) {}, Write: func(_ context.Context, src disk.Source) error { size = src.Size(); return nil }}
	got, err := c.Direct(t.Context())
	if err != nil || got.Method != CopyDirect || got.Size != 1<<20 || size != 1<<20 || len(got.Layers) != 1 || got.Layers[0].Format != "raw" {
		t.Errorf("%+v, %d bytes, %v", got, size, err)
	}
	c.Write = func(context.Context, disk.Source) error { return errors.New("full") }
	if _, err := c.Direct(t.Context()); err == nil || err.Error() != "full" {
		t.Errorf("%v", err)
	}
	c.Write = func(context.Context, disk.Source) error { return os.WriteFile(file, make([]byte, 2<<20), 0o600) }
	if _, err := c.Direct(t.Context()); err == nil {
		t.Error("a disk that was written to while it was read is a copy")
	}
	if _, err := c.Running(t.Context()); cause.IDOf(err) != "vm.gone" {
		t.Errorf("a copy by a QEMU that does not run: %v", err)
	}
}
