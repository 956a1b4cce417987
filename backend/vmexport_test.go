package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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

// aVM makes a store with an instance that runs, as far as its pid files and its
// host agent's socket tell, and a limactl of this shell script, which gets the
// verb as $1 and the instance's folder as $dir. It returns the instance's name.
func aVM(t *testing.T, script string) (name, dir string) {
	t.Helper()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("there is no setsid(1), which util-linux brings")
	}
	root, err := os.MkdirTemp("", "vm-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	dir = filepath.Join(root, "lima", "one")
	for file, text := range map[string]string{
		filepath.Join(dir, "lima.yaml"):       "vmType: qemu\narch: x86_64\n",
		filepath.Join(dir, "disk"):            "",
		filepath.Join(root, "bin", "limactl"): "#!/bin/sh\n[ \"$1\" = --version ] && { echo limactl version 2.2.0; exit 0; }\nshift 2\ndir=" + dir + "\n" + script,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range []string{"ha.pid", "qemu.pid"} {
		cmd := exec.Command("sh", "-c", "while :; do sleep 1; done", dir) // whose arguments name the folder
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
		if err := os.WriteFile(filepath.Join(dir, pid), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", filepath.Join(dir, "ha.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Setenv("LIMA_HOME", filepath.Join(root, "lima"))
	t.Setenv("PATH", filepath.Join(root, "bin")+":/usr/bin:/bin")
	return "one", dir
}

// down is the rest of a stop, in a session of its own, as a host agent has one:
// it goes on when limactl is gone.
const down = `setsid sh -c ': >'$dir'/told; sleep 1; kill $(cat '$dir'/ha.pid '$dir'/qemu.pid); rm '$dir'/*.pid' >/dev/null 2>&1 &
`

// A machine that was told to stop for an export is started again though the export
// was cancelled, or limactl failed, while it went down; one that runs on is left.
func TestStopTakenBack(t *testing.T) {
	old := goDownLimit
	t.Cleanup(func() { goDownLimit = old })
	for name, c := range map[string]struct {
		stop    string
		cancel  bool
		limit   time.Duration
		started bool
	}{
		"cancelled":         {down + "exec sleep 60", true, time.Minute, true},
		"limactl fails":     {down + "exit 1", false, time.Minute, true},
		"it does not stop":  {"exit 1", false, time.Second, false},
		"cancelled at once": {": >$dir/told; exec sleep 60", true, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			goDownLimit = c.limit
			vm, dir := aVM(t, "case $1 in stop) "+c.stop+" ;; start) touch $dir/started ;; esac")
			before, err := FindVM(vm)
			if err != nil || before.Status != VMRunning {
				t.Fatalf("%+v, %v", before, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var told []string
			x := &taking{b: &Backend{}, vm: before, o: VMExportOptions{Notify: func(msg string) {
				told = append(told, msg)
				if c.cancel && strings.HasPrefix(msg, "stopping") {
					go func() { // when limactl has the order
						for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
							if _, err := os.Stat(filepath.Join(dir, "told")); err == nil {
								cancel()
							}
						}
					}()
				}
			}}}
			if _, _, err := x.stopped(ctx); err == nil || c.cancel && !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "started")); (err == nil) != c.started {
				t.Errorf("started: %v, want %v; it said %q", err == nil, c.started, told)
			}
		})
	}
}
