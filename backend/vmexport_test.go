package backend

import (
	"errors"
	"fmt"
	"testing"

	"ingot/backend/build"
	"ingot/backend/qemu"
)

// A machine is never stopped without a yes, and a disk that something writes to
// is never read.
func TestExportMethod(t *testing.T) {
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	for name, c := range map[string]struct {
		status VMStatus
		driver string
		stop   bool
		agree  func(string) bool
		disk   string
		want   string // method or cause
	}{
		"stopped":            {VMStopped, "qemu", false, nil, "d", TakenDirect},
		"stopped, vz":        {VMStopped, "vz", false, no, "d", TakenDirect},
		"stopped, --stop":    {VMStopped, "vz", true, nil, "d", TakenDirect},
		"running":            {VMRunning, "qemu", false, no, "d", TakenFrozen},
		"running, --stop":    {VMRunning, "qemu", true, nil, "d", TakenStopped},
		"running vz":         {VMRunning, "vz", false, nil, "d", "vm.must-stop"},
		"running vz, no":     {VMRunning, "vz", false, no, "d", "vm.must-stop"},
		"running vz, yes":    {VMRunning, "vz", false, yes, "d", TakenStopped},
		"running vz, --stop": {VMRunning, "vz", true, no, "d", TakenStopped},
		"running krunkit":    {VMRunning, "krunkit", false, nil, "d", "vm.must-stop"},
		"broken":             {VMBroken, "qemu", true, yes, "d", "lima.broken"},
		"unknown":            {VMUnknown, "qemu", true, yes, "d", "lima.broken"},
		"no disk":            {VMStopped, "qemu", false, nil, "", "vm.no-disk"},
	} {
		got, err := exportMethod(VM{Name: "x", Status: c.status, VMType: c.driver, Disk: c.disk}, VMExportOptions{Stop: c.stop, Agree: c.agree})
		if err != nil {
			got = build.CauseOf(err)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// What can go wrong with QEMU's copy has a cause with a fix.
func TestBackupCauses(t *testing.T) {
	for want, err := range map[string]error{"vm.busy": qemu.ErrMonitorBusy, "vm.gone": qemu.ErrMonitorGone, "vm.no-drive": qemu.ErrNoDrive} {
		err := backupCause(fmt.Errorf("export: %w", err))
		if id, fix := Advice(err); id != want || fix == "" {
			t.Errorf("%v: cause %q, fix %q", err, id, fix)
		}
	}
	if err := errors.New("x"); backupCause(err) != err {
		t.Error("an error without a cause got one")
	}
}
