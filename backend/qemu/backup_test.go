package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// machine is a QEMU without a running CPU that has opened a disk of two files.
type machine struct {
	dir, disk, socket string
	cmd               *exec.Cmd
}

func startMachine(t *testing.T) *machine {
	t.Helper()
	for _, tool := range []string{"qemu-system-x86_64", "qemu-img", "qemu-io"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: apt-get install qemu-system-x86 qemu-utils", tool)
		}
	}
	dir, err := os.MkdirTemp("/var/tmp", "ingot-qmp-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{dir: dir, disk: filepath.Join(dir, "diff"), socket: filepath.Join(dir, "qmp.sock")}
	m.tool(t, "qemu-img", "create", "-q", "-f", "qcow2", "base", "256M")
	m.tool(t, "qemu-io", "-f", "qcow2", "-c", "write -P 5 0 200M", "base")
	m.tool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", filepath.Join(dir, "base"), "-F", "qcow2", "diff")
	m.tool(t, "qemu-io", "-f", "qcow2", "-c", "write -P 6 1M 30M", "-c", "write -z 50M 1M", "diff")
	m.cmd = exec.Command("qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-drive", "if=none,id=d0,format=qcow2,file="+m.disk, "-qmp", "unix:"+m.socket+",server=on,wait=off")
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.kill)
	return m
}

func (m *machine) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

func (m *machine) tool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// monitor connects as soon as QEMU has created its socket.
func (m *machine) monitor(t *testing.T) *Monitor {
	t.Helper()
	for range 1000 {
		mon, err := DialMonitor(context.Background(), m.socket)
		if err == nil {
			t.Cleanup(func() { mon.Close() })
			return mon
		}
		if !errors.Is(err, ErrMonitorGone) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // QEMU does not notify anybody when its socket exists
	}
	t.Fatal("QEMU made no socket")
	return nil
}

func (m *machine) drive(t *testing.T, mon *Monitor) string {
	t.Helper()
	name, err := mon.Drive(context.Background(), m.disk)
	if err != nil || name != "d0" {
		t.Fatalf("drive %q: %v", name, err)
	}
	return name
}

func jobs(t *testing.T, mon *Monitor) int {
	t.Helper()
	out, err := mon.c.execute(context.Background(), "query-block-jobs", nil)
	var list []any
	if err := errors.Join(err, json.Unmarshal(out, &list)); err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// The copy has the whole content of the disk, without its backing file.
func TestBackup(t *testing.T) {
	m := startMachine(t)
	mon := m.monitor(t)
	target, started := filepath.Join(m.dir, "copy"), false
	if err := mon.Backup(context.Background(), m.drive(t, mon), target, func() { started = true }); err != nil || !started {
		t.Fatal(err, started)
	}
	if n := jobs(t, mon); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
	m.kill()
	m.tool(t, "qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", m.disk, target)
	out, err := exec.Command("qemu-img", "info", "--output=json", target).Output()
	var info map[string]any
	if err := errors.Join(err, json.Unmarshal(out, &info)); err != nil || info["backing-filename"] != nil {
		t.Errorf("%v, %v", info, err)
	}
}

func TestBackupFaults(t *testing.T) {
	m := startMachine(t)
	mon := m.monitor(t)
	drive := m.drive(t, mon)
	t.Run("no such disk", func(t *testing.T) {
		if _, err := mon.Drive(context.Background(), filepath.Join(m.dir, "base")); !errors.Is(err, ErrNoDrive) {
			t.Errorf("%v", err)
		}
	})
	t.Run("busy", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		if _, err := DialMonitor(ctx, m.socket); !errors.Is(err, ErrMonitorBusy) {
			t.Errorf("%v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		if err := mon.Backup(ctx, drive, filepath.Join(m.dir, "cut"), cancel); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if n := jobs(t, mon); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		if err := mon.Backup(context.Background(), drive, "/no/such/folder/x", nil); err == nil {
			t.Error("it worked")
		}
	})
	t.Run("full", func(t *testing.T) {
		small := filepath.Join(m.dir, "small")
		if err := os.Mkdir(small, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small).Run(); err != nil {
			t.Skipf("only root mounts, on Linux: %v", err)
		}
		defer func() { _ = exec.Command("umount", small).Run() }()
		if err := mon.Backup(context.Background(), drive, filepath.Join(small, "x"), nil); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%v", err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		err := mon.Backup(context.Background(), drive, filepath.Join(m.dir, "lost"), m.kill)
		if !errors.Is(err, ErrMonitorGone) {
			t.Errorf("%v", err)
		}
		if _, err := DialMonitor(context.Background(), m.socket); !errors.Is(err, ErrMonitorGone) {
			t.Errorf("dial: %v", err)
		}
	})
}
