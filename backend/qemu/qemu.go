// Package qemu starts virtual machines with QEMU.
//
// It finds the program and its UEFI firmware, probes accelerators by running a
// tiny guest on them, writes the command line, and talks to the running
// machine over its serial line and QMP. It knows nothing of what a guest is
// expected to say; that is package proof's matter.
//
// External facts: QEMU's "virt" board has a PL011 at 0x09000000
// (docs/system/arm/virt.rst); pflash images for it must be 64 MiB; "-cpu
// max,pauth-impdef=on" avoids the slow QARMA5 authentication codes under TCG
// (docs/system/arm/cpu-features.rst).
package qemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"ingot/backend/fetch"
	"ingot/backend/home"
)

// Firmware is a pair of UEFI pflash files. Vars is a template: each machine
// gets its own copy.
type Firmware struct {
	Code, Vars string
}

// firmwareFiles lists where packagers put the files: Debian and Ubuntu,
// Fedora, Arch, and (relative to a prefix) Homebrew's and MacPorts' QEMU.
var firmwareFiles = map[string][]Firmware{
	"arm64": {
		{"/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"},
		{"/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"},
		{"/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"},
		{"share/qemu/edk2-aarch64-code.fd", "share/qemu/edk2-arm-vars.fd"},
	},
	"amd64": {
		{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
		{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
		{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
		{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
		{"share/qemu/edk2-x86_64-code.fd", "share/qemu/edk2-i386-vars.fd"},
	},
}

// prefixes are where relative firmware names are looked for.
var prefixes = []string{"/opt/homebrew", "/usr/local", "/opt/local", "/usr"}

// FirmwareMissingError says that no UEFI firmware was found.
type FirmwareMissingError struct {
	Arch     string
	Searched []string
}

func (e *FirmwareMissingError) Error() string {
	return fmt.Sprintf("no UEFI firmware for %s found (looked at %s): `ingot doctor` prints the command that installs it", e.Arch, strings.Join(e.Searched, ", "))
}

// FindFirmware returns the first pair whose two files exist. exists is
// normally a file check; tests inject one.
func FindFirmware(arch string, exists func(string) bool) (Firmware, error) {
	var searched []string
	for _, f := range firmwareFiles[arch] {
		for _, c := range expand(f) {
			if exists(c.Code) && exists(c.Vars) {
				return c, nil
			}
			searched = append(searched, c.Code)
		}
	}
	return Firmware{}, &FirmwareMissingError{arch, searched}
}

func expand(f Firmware) []Firmware {
	if filepath.IsAbs(f.Code) {
		return []Firmware{f}
	}
	var out []Firmware
	for _, p := range prefixes {
		out = append(out, Firmware{filepath.Join(p, f.Code), filepath.Join(p, f.Vars)})
	}
	return out
}

// FileExists reports whether path is a regular file that can be read.
func FileExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Binary is the emulator's name for a Go architecture.
func Binary(arch string) string {
	return map[string]string{"arm64": "qemu-system-aarch64", "amd64": "qemu-system-x86_64"}[arch]
}

// Host is the QEMU side of this computer, as far as proofs depend on it.
type Host struct {
	Arch           string // of the guest
	Program        string
	Version        string // first line of --version
	Firmware       Firmware
	FirmwareDigest string // SHA-256 of the code file
}

var hosts sync.Map // arch → Host: the installation does not change under a running process

// FindHost looks the emulator and firmware for a guest architecture up. Errors
// are *home.ToolMissingError and *FirmwareMissingError.
func FindHost(ctx context.Context, arch string) (Host, error) {
	if h, ok := hosts.Load(arch); ok {
		return h.(Host), nil
	}
	h := Host{Arch: arch}
	var err error
	if h.Program, err = home.LookTool(Binary(arch)); err != nil {
		return Host{}, err
	}
	out, err := exec.CommandContext(ctx, h.Program, "--version").Output()
	if err != nil {
		return Host{}, fmt.Errorf("%s --version: %w", h.Program, err)
	}
	h.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	if h.Firmware, err = FindFirmware(arch, FileExists); err != nil {
		return Host{}, err
	}
	if h.FirmwareDigest, err = fetch.Digest(h.Firmware.Code); err != nil {
		return Host{}, fmt.Errorf("firmware: %w", err)
	}
	hosts.Store(arch, h)
	return h, nil
}

// Disk is a block device of a machine. With Overlay set, writes go to that
// qcow2 file, which must have Path as its backing file.
type Disk struct {
	Path    string
	Format  string // qcow2 or raw
	Overlay string
}

// Machine describes one virtual machine with UEFI firmware.
type Machine struct {
	Host    Host
	Accel   string // tcg, kvm or hvf
	CPUs    int
	Memory  int64 // bytes
	Disks   []Disk
	VarsFD  string // this machine's copy of the firmware variables
	Dir     string // short path for sockets, ≤ 80 bytes (sun_path is 104 on macOS)
	LogFile string // serial log, written by QEMU itself, which goes on without a word when it cannot; "" for none
	SSHPort int    // of 127.0.0.1, that leads to port 22 of the guest, which may then reach the network; 0 is none, and no network
	// Started is told QEMU's process id as soon as there is one; its error ends
	// the machine. May be nil.
	Started func(pid int) error
}

// Argv is the command line, program first. It is recorded in the proof, so
// that anybody can start the same machine.
func (m Machine) Argv() []string {
	argv := []string{m.Host.Program, "-nodefaults", "-no-user-config", "-display", "none"}
	argv = append(argv, machineArgs(m.Host.Arch, m.Accel)...)
	argv = append(argv,
		"-smp", strconv.Itoa(m.CPUs), "-m", strconv.FormatInt(m.Memory>>20, 10),
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+escape(m.Host.Firmware.Code),
		"-drive", "if=pflash,format=raw,unit=1,file="+escape(m.VarsFD),
		"-chardev", m.serial(),
		"-serial", "chardev:ser",
		"-qmp", "unix:"+escape(m.qmpPath())+",server=on,wait=off",
		"-device", "virtio-rng-pci", "-device", "virtio-gpu-pci",
		// no boot ROM: Debian ships it in a package of its own (ipxe-qemu), and nothing boots from the network
		"-netdev", m.network(), "-device", "virtio-net-pci,netdev=net,romfile=")
	for i, d := range m.Disks {
		argv = append(argv, diskArgs(i, d)...)
	}
	return argv
}

func (m Machine) serial() string {
	chardev := "socket,id=ser,server=on,wait=on,path=" + escape(m.serialPath())
	if m.LogFile != "" {
		chardev += ",logfile=" + escape(m.LogFile) + ",logappend=off"
	}
	return chardev
}

func (m Machine) network() string {
	if m.SSHPort == 0 {
		return "user,id=net,restrict=on"
	}
	return fmt.Sprintf("user,id=net,hostfwd=tcp:127.0.0.1:%d-:22", m.SSHPort)
}

func (m Machine) serialPath() string { return filepath.Join(m.Dir, "serial") }
func (m Machine) qmpPath() string    { return filepath.Join(m.Dir, "qmp") }

func machineArgs(arch, accel string) []string {
	cpu := "host"
	if accel == "tcg" {
		cpu = "max"
		if arch == "arm64" {
			cpu = "max,pauth-impdef=on"
		}
	}
	machine := map[string]string{"arm64": "virt", "amd64": "q35"}[arch]
	if accel == "tcg" {
		accel = "tcg,thread=multi"
	}
	return []string{"-M", machine, "-accel", accel, "-cpu", cpu}
}

// diskArgs opens the image itself read-only and puts the overlay over it.
func diskArgs(i int, d Disk) []string {
	id := "disk" + strconv.Itoa(i)
	base := []string{
		"-blockdev", "driver=file,node-name=" + id + "-file,read-only=on,filename=" + escape(d.Path),
		"-blockdev", "driver=" + d.Format + ",node-name=" + id + "-base,read-only=on,file=" + id + "-file",
	}
	if d.Overlay == "" {
		return append(base, "-device", "virtio-blk-pci,drive="+id+"-base")
	}
	// bootindex: the firmware tries this disk alone, not the network for minutes
	return append(base,
		"-blockdev", "driver=file,node-name="+id+"-over,filename="+escape(d.Overlay),
		"-blockdev", "driver=qcow2,node-name="+id+",file="+id+"-over,backing="+id+"-base",
		"-device", "virtio-blk-pci,drive="+id+",bootindex="+strconv.Itoa(i))
}

// escape doubles commas, QEMU's way to have one in an option's value.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }
