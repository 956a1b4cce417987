package vm

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ingot/backend"
	"ingot/backend/guest/lima"
)

// aVM makes a Lima store with one instance that counts as running, by its pid files and
// its host agent's socket, and a limactl that is this shell script: it gets the verb as
// $1 and the instance's folder as $dir. It returns the instance's name and folder.
func aVM(t *testing.T, script string) (name, dir string) {
	t.Helper()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("there is no setsid(1), which util-linux brings")
	}
	root, err := os.MkdirTemp("", "vm-") // a socket's path must be short
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
		cmd := exec.Command("sh", "-c", "while :; do sleep 1; done", dir) // the folder in the arguments identifies it as the instance's process
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

// down is the second half of a stop. It runs in a session of its own, as Lima's host
// agent does, and continues after limactl has ended.
const down = `setsid sh -c ': >'$dir'/told; sleep 1; kill $(cat '$dir'/ha.pid '$dir'/qemu.pid); rm '$dir'/*.pid' >/dev/null 2>&1 &
`

// A VM that was stopped for an export is started again even if the export was
// cancelled, or limactl failed, during the shutdown. A VM that continues to run is left
// running.
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
			before, err := Find(vm)
			if err != nil || before.Status != Running {
				t.Fatalf("%+v, %v", before, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var notices []string
			x := &taking{b: &backend.Backend{}, vm: before, o: ExportOptions{Notify: func(msg string) {
				notices = append(notices, msg)
				if c.cancel && strings.HasPrefix(msg, "stopping") {
					go func() { // once limactl has sent the order to stop
						for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
							if _, err := os.Stat(filepath.Join(dir, "told")); err == nil {
								cancel()
							}
						}
					}()
				}
			}}}
			if _, err := x.stopped(ctx, lima.Copier{Instance: before}); err == nil || c.cancel && !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "started")); (err == nil) != c.started {
				t.Errorf("started: %v, want %v; it said %q", err == nil, c.started, notices)
			}
		})
	}
}
