package platform

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/qemu"
)

// Every platform's data is complete: each name has a source, and firmware for its guests
// is among its files.
func TestData(t *testing.T) {
	if known := Known(); !slices.Contains(known, "darwin/arm64") || !slices.Contains(known, "linux/amd64") {
		t.Errorf("known: %v", known)
	}
	for _, name := range Known() {
		p, err := For(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.OS+"/"+p.Arch != name || p.Date == "" || p.Title == "" || p.QEMU == "" {
			t.Errorf("%s: %+v", name, p)
		}
		for _, binary := range []string{"qemu-system-aarch64", "qemu-system-x86_64"} {
			e := p.Emulator(context.Background(), binary)
			if tcg, _ := e.Accel("tcg"); e.Found != Yes || tcg != Yes || e.Displays.Has("none") != Yes || e.CPUs.Has("max") != Yes {
				t.Errorf("%s: %s is not described", name, binary)
			}
		}
		if _, err := qemu.FindFirmware("arm64", func(f string) bool { return p.File(f, false).Found == Yes }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"plan9/arm64", "", "../x", "darwin"} {
		var unknown *UnknownError
		if _, err := For(name); !errors.As(err, &unknown) || cause.ClassOf(err) != cause.Input {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Of a name in neither list nothing is known.
func TestMac(t *testing.T) {
	p, err := For("darwin/arm64")
	if err != nil {
		t.Fatal(err)
	}
	arm, x86 := p.Emulator(context.Background(), "qemu-system-aarch64"), p.Emulator(context.Background(), "qemu-system-x86_64")
	for name, got := range map[string]struct{ got, want Answer }{
		"cocoa": {arm.Displays.Has("cocoa"), Yes}, "gtk": {arm.Displays.Has("gtk"), No}, "dbus": {arm.Displays.Has("dbus"), NotKnown},
		"pc": {arm.Machines.Has("pc"), No}, "pc-q35-9.0": {arm.Machines.Has("pc-q35-9.0"), No}, "virt-11.0": {arm.Machines.Has("virt-11.0"), Yes}, "new": {arm.Machines.Has("new"), NotKnown},
		"cortex-a710": {arm.CPUs.Has("cortex-a710"), Yes}, "qemu64": {arm.CPUs.Has("qemu64"), No}, "x": {arm.CPUs.Has("x"), NotKnown},
		"kvm": {p.DevKVM, No}, "code": {p.File("/opt/homebrew/share/qemu/edk2-aarch64-code.fd", false).Found, Yes},
		"rom by name": {p.File("edk2-aarch64-code.fd", true).Found, Yes}, "chip by name": {p.File("edk2-aarch64-code.fd", false).Found, NotKnown},
		"Intel": {p.File("/usr/local/share/qemu/edk2-aarch64-code.fd", false).Found, No}, "own": {p.File("/Users/me/code.fd", false).Found, NotKnown},
		"port": {p.Port(1), NotKnown}, "other program": {p.Emulator(context.Background(), "/x/my-qemu").Found, NotKnown},
	} {
		if got.got != got.want {
			t.Errorf("%s: %v, want %v", name, got.got, got.want)
		}
	}
	if a, _ := arm.Accel("hvf"); a != Yes {
		t.Error("hvf is missing")
	}
	if a, why := x86.Accel("hvf"); a != No || why == "" {
		t.Error("hvf runs amd64 guests")
	}
	if a, _ := (Emulator{}).Accel("tcg"); a != NotKnown {
		t.Error("an unknown emulator has tcg")
	}
}

// The lists that QEMU prints are read in the forms of its versions.
func TestLists(t *testing.T) {
	if got := cpuNames("Available CPUs:\nx86 486                   (alias configured by machine type)\nx86 qemu64   QEMU\n\nRecognized CPUID flags:\n  3dnow\n"); !slices.Equal(got, []string{"486", "qemu64"}) {
		t.Errorf("%q", got)
	}
	if got := cpuNames("Available CPUs:\n  486                 (alias)\n  host\n\nRecognized CPUID flags:\n"); !slices.Equal(got, []string{"486", "host"}) {
		t.Errorf("%q", got)
	}
	if got := firstWords("Available display backend types:\nnone\nqemu: module ui-ui-gtk not found\ncurses\n", "Available display"); !slices.Equal(got, []string{"none", "curses"}) {
		t.Errorf("%q", got)
	}
	if got := firstWords("Supported machines are:\nakita   Sharp\nvirt    QEMU 7.2 ARM Virtual Machine (alias of virt-7.2)\n", "Supported machines"); !slices.Equal(got, []string{"akita", "virt"}) {
		t.Errorf("%q", got)
	}
	if got := whole(firstWords("an error\n", "Supported machines")); got.Has("pc") != NotKnown {
		t.Error("something follows from an empty list")
	}
}

// fakeQEMU answers as an emulator does, and runs no guest.
const fakeQEMU = `#!/bin/sh
case "$*" in
--version) echo "QEMU emulator version 9.2.1 (fake)";;
"-machine help") printf 'Supported machines are:\nvirt    a board\n';;
"-cpu help") printf 'Available CPUs:\n  cortex-a57\n';;
"-display help") printf 'Available display backend types:\nnone\n';;
"-accel help") printf 'Accelerators supported in QEMU binary:\ntcg\nkvm\n';;
*) echo "qemu: failed to initialize kvm: No such device" >&2; exit 1;;
esac
`

// This computer's emulator is asked for its lists, and an accelerator is run.
func TestHere(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "qemu-system-aarch64")
	if err := os.WriteFile(program, []byte(fakeQEMU), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "code.fd"), make([]byte, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	p := Here(context.Background(), dir)
	e := p.Emulator(context.Background(), program)
	if e.Found != Yes || e.Version != "9.2.1" || e.Machines.Has("virt") != Yes || e.Machines.Has("pc") != No || e.CPUs.Has("max") != Yes || e.CPUs.Has("host") != No || e.Displays.Has("gtk") != No {
		t.Errorf("%+v", e)
	}
	if a, _ := e.Accel("tcg"); a != Yes {
		t.Error("tcg is missing")
	}
	if a, why := e.Accel("kvm"); a != No || !strings.Contains(why, "failed to initialize kvm") {
		t.Errorf("kvm: %v %q", a, why)
	}
	if a, why := e.Accel("hvf"); a != No || !strings.Contains(why, "built without hvf") {
		t.Errorf("hvf: %v %q", a, why)
	}
	if e := p.Emulator(context.Background(), filepath.Join(dir, "none")); e.Found != No {
		t.Error("a missing program was found")
	}
	if f := p.File("code.fd", false); f.Found != Yes || f.Size != 10 {
		t.Errorf("%+v", f)
	}
	if f := p.File(dir, false); f.Found != No {
		t.Error("a folder is a file")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if p.Port(port) != No {
		t.Error("a port in use is free")
	}
	_ = l.Close()
	if p.Port(port) != Yes {
		t.Error("a free port is in use")
	}
}

// A template names its qemu_binary: only an emulator of the search path is run.
func TestOtherProgramsAreNotRun(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	ran := filepath.Join(dir, "ran")
	script := "#!/bin/sh\necho QEMU emulator version 9.0.0\ntouch " + ran + "\n"
	other := filepath.Join(dir, "elsewhere")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{filepath.Join(dir, "evil"), filepath.Join(other, "qemu-system-aarch64"), filepath.Join(dir, "qemu-system-sparc64")} {
		if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	p := Here(context.Background(), dir)
	for _, name := range []string{"evil", filepath.Join(dir, "evil"), filepath.Join(other, "qemu-system-aarch64")} {
		if e := p.Emulator(context.Background(), name); e.Found == Yes {
			t.Errorf("%s: %+v", name, e)
		}
		if _, err := os.Stat(ran); err == nil {
			t.Fatalf("%s was run", name)
		}
	}
	if e := p.Emulator(context.Background(), "qemu-system-sparc64"); e.Found != Yes { // the control
		t.Errorf("%+v", e)
	}
}

func TestGuestArch(t *testing.T) {
	for name, want := range map[string]string{"qemu-system-aarch64": "arm64", "/opt/homebrew/bin/qemu-system-x86_64": "amd64", `C:\qemu\qemu-system-x86_64.exe`: "amd64", "qemu-kvm": ""} {
		if got := GuestArch(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
