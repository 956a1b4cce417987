package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/home"
)

// plain is a machine as a proof starts it, on the default board.
func plain(arch, accel string) Machine {
	return Machine{Host: Host{Arch: arch, Program: "qemu", Firmware: Firmware{Code: "/c", Vars: "/v"}}, Accel: accel, CPUs: 2, Memory: 1 << 30, VarsFD: "/vars", Dir: "/d",
		Disks: []Disk{{Path: "/img", Format: "qcow2", Overlay: "/over"}, {Path: "/seed", Format: "raw"}}}
}

// plainArgv is its command line. Evidence contains it: a recipe without board keys must
// continue to be proved on exactly this machine.
const plainArgv = `qemu -nodefaults -no-user-config -display none -M MACHINE -accel ACCEL -cpu CPU -smp 2 -m 1024 ` +
	`-drive if=pflash,format=raw,unit=0,readonly=on,file=/c -drive if=pflash,format=raw,unit=1,file=/vars ` +
	`-chardev socket,id=ser,server=on,wait=on,path=/d/serial -serial chardev:ser -qmp unix:/d/qmp,server=on,wait=off ` +
	`-device virtio-rng-pci -device virtio-gpu-pci -netdev user,id=net,restrict=on -device virtio-net-pci,netdev=net,romfile= ` +
	`-blockdev driver=file,node-name=disk0-file,read-only=on,filename=/img -blockdev driver=qcow2,node-name=disk0-base,read-only=on,file=disk0-file ` +
	`-blockdev driver=file,node-name=disk0-over,filename=/over -blockdev driver=qcow2,node-name=disk0,file=disk0-over,backing=disk0-base -device virtio-blk-pci,drive=disk0,bootindex=0 ` +
	`-blockdev driver=file,node-name=disk1-file,read-only=on,filename=/seed -blockdev driver=raw,node-name=disk1-base,read-only=on,file=disk1-file -device virtio-blk-pci,drive=disk1-base`

func TestPlainArgv(t *testing.T) {
	for _, c := range []struct{ arch, accel, machine, accelArg, cpu string }{
		{"arm64", "tcg", "virt", "tcg,thread=multi", "max,pauth-impdef=on"},
		{"arm64", "hvf", "virt", "hvf", "host"},
		{"arm64", "kvm", "virt", "kvm", "host"},
		{"amd64", "tcg", "q35", "tcg,thread=multi", "max"},
		{"amd64", "kvm", "q35", "kvm", "host"},
	} {
		want := strings.NewReplacer("MACHINE", c.machine, "ACCEL", c.accelArg, "CPU", c.cpu).Replace(plainArgv)
		if got := strings.Join(plain(c.arch, c.accel).Argv(), " "); got != want {
			t.Errorf("%s on %s:\n  %s\nwas\n  %s", c.arch, c.accel, got, want)
		}
	}
}

// Each key of a board changes only its own arguments.
func TestBoardArgv(t *testing.T) {
	was := strings.Fields(strings.Join(plain("arm64", "tcg").Argv(), " "))
	for name, c := range map[string]struct {
		board Board
		want  map[string]string // old argument → new argument; "" removes it
	}{
		"type":      {Board{Type: "virt,acpi=off"}, map[string]string{"virt": "virt,acpi=off"}},
		"cpu":       {Board{CPU: map[string]string{"tcg": "cortex-a57", "hvf": "host"}}, map[string]string{"max,pauth-impdef=on": "cortex-a57"}},
		"other cpu": {Board{CPU: map[string]string{"hvf": "cortex-a57"}}, nil},
		"usual":     {Board{Firmware: EDK2, Bus: "pci"}, nil},
		"disk":      {Board{Disk: "nvme,serial=x"}, map[string]string{"virtio-blk-pci,drive=disk0,bootindex=0": "nvme,serial=x,drive=disk0,bootindex=0", "virtio-blk-pci,drive=disk1-base": "nvme,serial=x,drive=disk1-base"}},
		"nic":       {Board{NIC: "virtio-net-pci,ctrl_vq=off"}, map[string]string{"virtio-net-pci,netdev=net,romfile=": "virtio-net-pci,ctrl_vq=off,netdev=net,romfile="}},
		"usb nic":   {Board{NIC: "usb-net"}, map[string]string{"virtio-net-pci,netdev=net,romfile=": "usb-net,netdev=net"}},
		"mmio": {Board{Bus: "mmio"}, map[string]string{"virtio-rng-pci": "virtio-rng-device", "virtio-gpu-pci": "virtio-gpu-device", "virtio-net-pci,netdev=net,romfile=": "virtio-net-device,netdev=net",
			"virtio-blk-pci,drive=disk0,bootindex=0": "virtio-blk-device,drive=disk0,bootindex=0", "virtio-blk-pci,drive=disk1-base": "virtio-blk-device,drive=disk1-base"}},
		"extra": {Board{Extra: []string{"-semihosting-config", "enable=on"}}, map[string]string{"+": "-semihosting-config enable=on"}},
	} {
		m := plain("arm64", "tcg")
		m.Board = c.board
		var want []string
		for _, a := range was {
			if to, changed := c.want[a]; changed {
				a = to
			}
			want = append(want, a)
		}
		if more := c.want["+"]; more != "" {
			want = append(want, more)
		}
		if got := strings.Join(m.Argv(), " "); got != strings.Join(want, " ") {
			t.Errorf("%s:\n  %s\nwant\n  %s", name, got, strings.Join(want, " "))
		}
	}
	for firmware, want := range map[string]string{UBoot: " -bios /c -chardev ", BIOS: " -m 1024 -chardev ", NoFirmware: " -m 1024 -chardev "} {
		m := plain("amd64", "tcg")
		m.Board.Firmware = firmware
		if got := strings.Join(m.Argv(), " "); !strings.Contains(got, want) || strings.Contains(got, "pflash") {
			t.Errorf("%s: %s", firmware, got)
		}
	}
}

// Firmware of another kind is searched in its own folders.
func TestFindOtherFirmware(t *testing.T) {
	all := func(string) bool { return true }
	none := func(string) bool { return false }
	if f, err := findFirmware("arm64", UBoot, all); err != nil || !strings.HasSuffix(f.Code, "/u-boot.bin") || f.Vars != "" {
		t.Errorf("%+v, %v", f, err)
	}
	var missing *FirmwareMissingError
	if _, err := findFirmware("arm64", UBoot, none); !errors.As(err, &missing) || !strings.Contains(err.Error(), "no U-Boot for arm64") {
		t.Errorf("%v", err)
	}
	if _, err := findFirmware("arm64", "", none); !errors.As(err, &missing) || !strings.Contains(err.Error(), "no UEFI firmware") {
		t.Errorf("%v", err)
	}
	for _, kind := range []string{BIOS, NoFirmware} {
		if f, err := findFirmware("amd64", kind, none); err != nil || f != (Firmware{}) {
			t.Errorf("%s: %+v, %v", kind, f, err)
		}
	}
}

// A computer without UEFI firmware can start a board that needs none.
func TestHostByFirmware(t *testing.T) {
	h := host(t, "amd64")
	digest := func(string) (string, error) { return "abc", nil }
	got, err := FindHostBy(t.Context(), "amd64", NoFirmware, digest)
	if err != nil || got.Program != h.Program || got.FirmwareDigest != "" || got.Firmware != (Firmware{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A missing emulator is reported with its cause.
func TestNoHost(t *testing.T) {
	_, err := FindHostBy(t.Context(), "no such architecture", "", nil)
	if !errors.As(err, new(*home.ToolMissingError)) || cause.Of(err) != "qemu.binary-missing" {
		t.Errorf("%v, cause %q", err, cause.Of(err))
	}
}

// QEMU accepts the boards of the tables.
func TestBoardsStart(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "S3CRET")
	t.Setenv("https_proxy", "http://user:S3CRET@proxy.example.org")
	for arch, boards := range map[string][]Board{
		"arm64": {{Firmware: NoFirmware, Bus: "mmio", CPU: map[string]string{"tcg": "cortex-a57"}}, {Firmware: NoFirmware, Type: "virt,acpi=off,gic-version=3", NIC: "virtio-net-pci,ctrl_vq=off"}},
		"amd64": {{Firmware: BIOS, Disk: "nvme,serial=x", NIC: "e1000"}},
	} {
		for _, b := range boards {
			m := plain(arch, "tcg")
			dir, err := os.MkdirTemp("/tmp", "ingot-board-") // short, since it holds sockets
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			m.Host, m.Board, m.Dir, m.Disks = host(t, arch), b, dir, []Disk{{Path: filepath.Join(t.TempDir(), "disk"), Format: "raw"}}
			if err := os.WriteFile(m.Disks[0].Path, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			vm, err := Start(t.Context(), m)
			if err != nil {
				t.Errorf("%s %+v: %v", arch, b, err)
				continue
			}
			// proc(5); macOS has no such file
			if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", vm.PID())); err == nil && (bytes.Contains(environ, []byte("S3CRET")) || !bytes.Contains(environ, []byte("PATH="))) {
				t.Errorf("QEMU has the environment %q", environ)
			}
			vm.Kill()
		}
	}
}
