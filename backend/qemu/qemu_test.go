package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ingot/backend/home"
)

func TestFindFirmware(t *testing.T) {
	have := func(paths ...string) func(string) bool {
		return func(p string) bool {
			for _, h := range paths {
				if h == p {
					return true
				}
			}
			return false
		}
	}
	cases := []struct {
		name, arch string
		files      []string
		want       string
	}{
		{"debian arm64", "arm64", []string{"/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"}, "/usr/share/AAVMF/AAVMF_CODE.fd"},
		{"homebrew", "arm64", []string{"/opt/homebrew/share/qemu/edk2-aarch64-code.fd", "/opt/homebrew/share/qemu/edk2-arm-vars.fd"}, "/opt/homebrew/share/qemu/edk2-aarch64-code.fd"},
		{"macports", "arm64", []string{"/opt/local/share/qemu/edk2-aarch64-code.fd", "/opt/local/share/qemu/edk2-arm-vars.fd"}, "/opt/local/share/qemu/edk2-aarch64-code.fd"},
		{"fedora", "arm64", []string{"/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"}, "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw"},
		{"debian amd64", "amd64", []string{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"}, "/usr/share/OVMF/OVMF_CODE_4M.fd"},
		{"code without vars", "arm64", []string{"/usr/share/AAVMF/AAVMF_CODE.fd"}, ""},
		{"nothing", "arm64", nil, ""},
	}
	for _, c := range cases {
		fw, err := FindFirmware(c.arch, have(c.files...))
		var missing *FirmwareMissingError
		if fw.Code != c.want || (c.want == "") != errors.As(err, &missing) {
			t.Errorf("%s: %+v, %v", c.name, fw, err)
		}
	}
}

func TestCandidates(t *testing.T) {
	for in, want := range map[[3]string]string{
		{"linux", "amd64", "arm64"}: "tcg", {"linux", "arm64", "arm64"}: "kvm tcg",
		{"darwin", "arm64", "arm64"}: "hvf tcg", {"darwin", "arm64", "amd64"}: "tcg", {"windows", "amd64", "amd64"}: "tcg",
	} {
		if got := strings.Join(Candidates(in[0], in[1], in[2]), " "); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
}

// The image must be opened read-only; its writes go to the overlay.
func TestArgv(t *testing.T) {
	m := Machine{Host: Host{Arch: "arm64", Program: "qemu", Firmware: Firmware{Code: "/c", Vars: "/v"}}, Accel: "tcg", CPUs: 2, Memory: 1 << 30, VarsFD: "/vars", Dir: "/d", LogFile: "/log,1",
		Disks: []Disk{{Path: "/img", Format: "qcow2", Overlay: "/over"}, {Path: "/seed", Format: "raw"}}}
	got := strings.Join(m.Argv(), " ")
	for _, want := range []string{"-M virt", "-accel tcg,thread=multi", "-cpu max,pauth-impdef=on", "-m 1024",
		"driver=file,node-name=disk0-file,read-only=on,filename=/img", "driver=qcow2,node-name=disk0-base,read-only=on", "driver=qcow2,node-name=disk0,file=disk0-over,backing=disk0-base",
		"driver=raw,node-name=disk1-base,read-only=on", "logfile=/log,,1"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	m.Accel = "hvf"
	if got := strings.Join(m.Argv(), " "); !strings.Contains(got, "-accel hvf -cpu host") {
		t.Errorf("hvf: %s", got)
	}
}

func host(t *testing.T, arch string) Host {
	t.Helper()
	p, err := home.LookTool(Binary(arch))
	if err != nil {
		t.Skipf("%s is not installed", Binary(arch))
	}
	return Host{Arch: arch, Program: p, Version: "test"}
}

// The probe program must run under TCG on both architectures. An accelerator that this
// computer does not have must fail with QEMU's message.
func TestProbe(t *testing.T) {
	for _, arch := range []string{"arm64", "amd64"} {
		t.Run(arch, func(t *testing.T) {
			h := host(t, arch)
			if err := Probe(context.Background(), h, "tcg"); err != nil {
				t.Errorf("tcg: %v", err)
			}
			impossible := "hvf"
			if runtime.GOOS == "darwin" {
				impossible = "kvm"
			}
			if err := Probe(context.Background(), h, impossible); err == nil || !strings.Contains(err.Error(), impossible) {
				t.Errorf("%s: %v", impossible, err)
			}
		})
	}
}

func TestChooseAccelIsKept(t *testing.T) {
	h := host(t, "arm64")
	dir := t.TempDir()
	a, err := ChooseAccel(context.Background(), h, dir)
	if err != nil || a.Name == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	if b, err := ChooseAccel(context.Background(), h, dir); err != nil || b.Name != a.Name {
		t.Errorf("%+v, %v", b, err)
	}
	h.Program = "/no/such/program"
	if _, err := ChooseAccel(context.Background(), h, dir); err == nil {
		t.Error("another QEMU used the old answer")
	}
}

// The error of a QEMU that does not start must have its stderr, without a delay.
func TestLaunchError(t *testing.T) {
	h := host(t, "arm64")
	dir := t.TempDir()
	h.Firmware = Firmware{Code: filepath.Join(dir, "code"), Vars: filepath.Join(dir, "vars")}
	for _, f := range []string{"code", "vars"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("short"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Start(context.Background(), Machine{Host: h, Accel: "tcg", CPUs: 1, Memory: 256 << 20, VarsFD: h.Firmware.Vars, Dir: dir, LogFile: filepath.Join(dir, "log"),
		Disks: []Disk{{Path: filepath.Join(dir, "no-such-disk"), Format: "raw"}}})
	var launch *LaunchError
	if !errors.As(err, &launch) || !strings.Contains(launch.Stderr, "no-such-disk") {
		t.Errorf("%v", err)
	}
}

// The firmware beside the emulator that is used is found, wherever a package manager put
// both, also where its folder of programs has links.
func TestFirmwareBesideProgram(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store", "qemu-11")
	bin := filepath.Join(dir, ".nix-profile", "bin")
	for _, f := range []string{"bin/qemu-system-aarch64", "share/qemu/edk2-aarch64-code.fd", "share/qemu/edk2-arm-vars.fd"} {
		file := filepath.Join(store, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(bin, 0o755), os.Symlink(filepath.Join(store, "bin", "qemu-system-aarch64"), filepath.Join(bin, "qemu-system-aarch64"))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	t.Setenv("HOME", dir)
	ours := func(path string) bool { return strings.HasPrefix(path, dir) && FileExists(path) }
	if f, err := FindFirmware("arm64", ours); err != nil || f.Code != filepath.Join(store, "share/qemu/edk2-aarch64-code.fd") {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := FindFirmware("amd64", ours); err == nil {
		t.Error("firmware of another architecture")
	}
}
