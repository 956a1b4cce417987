package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A machine runs in the sandbox where QEMU has one, with everything that is asked of
// it: the kernel says that it filters QEMU's system calls. The control runs without.
func TestSandbox(t *testing.T) {
	for _, arch := range []string{"arm64", "amd64"} {
		h := host(t, arch)
		cache := t.TempDir()
		has, err := Sandboxed(t.Context(), h, "tcg", cache)
		if err != nil {
			t.Fatal(err)
		}
		if !has {
			b, _ := os.ReadFile(filepath.Join(cache, "sandbox-"+arch+".json")) // only for the message
			t.Skipf("QEMU has no sandbox here: %s", b)
		}
		for _, sandbox := range []bool{true, false} {
			m := plain(arch, "tcg")
			dir, err := os.MkdirTemp("/tmp", "ingot-sandbox-") // short: sockets lie in it
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			m.Host, m.Board, m.Dir, m.Sandbox, m.CPUs = h, Board{Firmware: NoFirmware}, dir, sandbox, 2
			m.Disks = []Disk{{Path: filepath.Join(dir, "disk"), Format: "raw"}}
			if err := os.WriteFile(m.Disks[0].Path, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			vm, err := Start(t.Context(), m)
			if err != nil {
				t.Fatalf("%s, sandbox %v: %v", arch, sandbox, err)
			}
			if err := vm.Screendump(t.Context(), filepath.Join(dir, "screen.png")); err != nil {
				t.Errorf("%s, sandbox %v: %v", arch, sandbox, err)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", vm.PID())) // proc(5)
			if got := strings.Contains(string(status), "Seccomp:\t2"); err == nil && got != sandbox {
				t.Errorf("%s, sandbox %v: system calls are filtered: %v", arch, sandbox, got)
			}
			if got := strings.Contains(strings.Join(vm.Argv, " "), "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"); got != sandbox {
				t.Errorf("%s, sandbox %v: %v", arch, sandbox, vm.Argv)
			}
			vm.Kill()
		}
	}
}

// A QEMU without a sandbox is started without it, and asked once.
func TestNoSandbox(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "qemu")
	script := "#!/bin/sh\necho x >> " + dir + "/asked\necho 'qemu: -sandbox on: sandbox support is not enabled in this QEMU binary' >&2\nexit 1\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	h := Host{Arch: "amd64", Program: program, Version: "1"}
	for range 2 {
		if has, err := Sandboxed(t.Context(), h, "tcg", dir); has || err != nil {
			t.Errorf("%v, %v", has, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || len(b) != 2 {
		t.Errorf("asked %d times, %v", len(b)/2, err)
	}
	h.Version = "2"
	if _, err := Sandboxed(t.Context(), h, "tcg", dir); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || len(b) != 4 {
		t.Errorf("another version was asked %d times, %v", len(b)/2-1, err)
	}
}

// A board that brings a sandbox of its own gets no other.
func TestOwnSandbox(t *testing.T) {
	m := plain("arm64", "tcg")
	m.Sandbox, m.Board.Extra = true, []string{"-sandbox", "off"}
	if got := strings.Join(m.Argv(), " "); strings.Count(got, "-sandbox") != 1 || !strings.HasSuffix(got, "-sandbox off") {
		t.Error(got)
	}
}
