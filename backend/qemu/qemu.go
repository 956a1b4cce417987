// Package qemu starts virtual machines with QEMU.
//
// It finds the program and its UEFI firmware, probes accelerators by running a small
// guest on them, writes seeds and the command line, and connects to the serial console
// and the QMP socket of the running machine. It does not interpret the guest's output;
// package proof does.
//
// External facts: QEMU's "virt" board has a PL011 at 0x09000000
// (docs/system/arm/virt.rst); pflash images for it must be 64 MiB; "-cpu
// max,pauth-impdef=on" avoids the slow QARMA5 authentication codes under TCG
// (docs/system/arm/cpu-features.rst).
package qemu

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ingot/backend/cause"
	"ingot/backend/fetch"
	"ingot/backend/home"
)

// Firmware is a pair of UEFI pflash files. Vars is a template: each machine gets its
// own copy. Firmware of another kind is one file, Code.
type Firmware struct {
	Code, Vars string
}

// firmwareFiles lists the files of packages: Debian and Ubuntu, Fedora, Arch, and
// (relative to a prefix) Homebrew's and MacPorts' QEMU.
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

// ubootFiles lists the files of the packages of U-Boot for QEMU's boards: Debian's
// u-boot-qemu, Fedora's uboot-images-armv8, OpenBSD's u-boot-aarch64.
var ubootFiles = map[string][]string{
	"arm64": {"/usr/lib/u-boot/qemu_arm64/u-boot.bin", "/usr/share/uboot/qemu_arm64/u-boot.bin", "/usr/local/share/u-boot/qemu_arm64/u-boot.bin"},
	"amd64": {"/usr/lib/u-boot/qemu-x86_64/u-boot.rom"},
}

// prefixes are the folders in which relative firmware names are searched.
var prefixes = []string{"/opt/homebrew", "/usr/local", "/opt/local", "/usr"}

// FirmwareMissingError reports that no firmware of the kind was found.
type FirmwareMissingError struct {
	Arch     string
	Searched []string
	Kind     string // "" means EDK2
}

func (e *FirmwareMissingError) Error() string {
	if e.Kind == UBoot {
		return fmt.Sprintf("no U-Boot for %s found (looked at %s): Debian's package is u-boot-qemu", e.Arch, strings.Join(e.Searched, ", "))
	}
	return fmt.Sprintf("no UEFI firmware for %s found (looked at %s): `ingot doctor` prints the command that installs it", e.Arch, strings.Join(e.Searched, ", "))
}

// FindFirmware returns the first pair whose two files exist. exists reports whether a
// file exists; see FileExists.
func FindFirmware(arch string, exists func(string) bool) (Firmware, error) {
	var searched []string
	own := ownPrefixes(arch)
	for _, f := range firmwareFiles[arch] {
		for _, c := range expand(f, own) {
			if exists(c.Code) && exists(c.Vars) {
				return c, nil
			}
			searched = append(searched, c.Code)
		}
	}
	return Firmware{}, &FirmwareMissingError{Arch: arch, Searched: searched}
}

// findFirmware returns the files of a kind of firmware. BIOS and NoFirmware have none.
func findFirmware(arch, kind string, exists func(string) bool) (Firmware, error) {
	switch kind {
	case "", EDK2:
		return FindFirmware(arch, exists)
	case UBoot:
		for _, file := range ubootFiles[arch] {
			if exists(file) {
				return Firmware{Code: file}, nil
			}
		}
		return Firmware{}, &FirmwareMissingError{Arch: arch, Searched: ubootFiles[arch], Kind: UBoot}
	}
	return Firmware{}, nil
}

// ownPrefixes returns the folders above that of the emulator's program, by its name and
// by the file that it links to: a package manager that keeps each package in a folder of
// its own (Nix, a Homebrew elsewhere) has the firmware there.
func ownPrefixes(arch string) []string {
	program, err := home.LookTool(Binary(arch))
	if err != nil {
		return nil
	}
	out := []string{filepath.Dir(filepath.Dir(program))}
	if file, err := filepath.EvalSymlinks(program); err == nil && file != program {
		out = append(out, filepath.Dir(filepath.Dir(file)))
	}
	return out
}

func expand(f Firmware, own []string) []Firmware {
	if filepath.IsAbs(f.Code) {
		return []Firmware{f}
	}
	var out []Firmware
	for _, p := range slices.Concat(own, prefixes) {
		out = append(out, Firmware{filepath.Join(p, f.Code), filepath.Join(p, f.Vars)})
	}
	return out
}

// FileExists reports whether path is a regular file that can be read.
func FileExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Binary returns the emulator's name for a Go architecture.
func Binary(arch string) string {
	return map[string]string{"arm64": "qemu-system-aarch64", "amd64": "qemu-system-x86_64"}[arch]
}

// Host is the QEMU installation of this computer, as far as proofs depend on it.
type Host struct {
	Arch           string // of the guest
	Program        string
	Version        string // first line of --version
	Firmware       Firmware
	FirmwareDigest string // SHA-256 of the code file; "" without one
}

var hosts sync.Map // arch and kind of firmware → Host; the installation is assumed not to change during the process

// FindHost finds the emulator and UEFI firmware for a guest architecture. Errors are
// *home.ToolMissingError and *FirmwareMissingError, with their causes.
func FindHost(ctx context.Context, arch string) (Host, error) {
	return FindHostBy(ctx, arch, EDK2, fetch.Digest)
}

// FindHostBy is FindHost for one of Firmwares, where "" means EDK2. digest returns a
// file's SHA-256; it may use a cache, such as one by the file's size and times.
func FindHostBy(ctx context.Context, arch, firmware string, digest func(file string) (string, error)) (Host, error) {
	key := arch + " " + cmp.Or(firmware, EDK2)
	if h, ok := hosts.Load(key); ok {
		return h.(Host), nil
	}
	h := Host{Arch: arch}
	var err error
	if h.Program, err = home.LookTool(Binary(arch)); err != nil {
		return Host{}, cause.With("qemu.binary-missing", err)
	}
	out, err := exec.CommandContext(ctx, h.Program, "--version").Output()
	if err != nil {
		return Host{}, fmt.Errorf("%s --version: %w", h.Program, err)
	}
	h.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	if h.Firmware, err = findFirmware(arch, firmware, FileExists); err != nil {
		return Host{}, cause.With("qemu.firmware-missing", err)
	}
	if h.Firmware.Code != "" {
		if h.FirmwareDigest, err = digest(h.Firmware.Code); err != nil {
			return Host{}, fmt.Errorf("firmware: %w", err)
		}
	}
	hosts.Store(key, h)
	return h, nil
}

// Disk is a block device of a machine. If Overlay is set, writes go to that qcow2 file,
// which must have Path as its backing file.
type Disk struct {
	Path    string
	Format  string // qcow2 or raw
	Overlay string
	Sparse  bool // zeros that are written, and what is discarded, take no space in the overlay
}

// Machine describes one virtual machine.
type Machine struct {
	Host    Host
	Board   Board
	Accel   string // tcg, kvm or hvf
	Sandbox bool   // as Sandboxed reports for the host and Accel
	CPUs    int
	Memory  int64 // bytes
	Disks   []Disk
	VarsFD  string // this machine's copy of the UEFI variables; unused with other firmware
	Dir     string // short path for sockets, ≤ 80 bytes (sun_path is 104 on macOS)
	LogFile string // serial log that QEMU writes, without an error if it cannot; "" for none
	MAC     string // of the network device; "" is QEMU's own
	SSHPort int    // port of 127.0.0.1 that is forwarded to port 22 of the guest, which then has network access; 0 means no network
	// Started, which may be nil, is called with QEMU's process id after the start. An
	// error kills the machine.
	Started func(pid int) error
}

// Argv returns the command line, program first. It is recorded in the proof, so that
// anybody can start the same machine.
func (m Machine) Argv() []string {
	argv := append([]string{m.Host.Program, "-nodefaults", "-no-user-config", "-display", "none"}, m.sandbox()...)
	argv = append(argv, m.Board.machineArgs(m.Host.Arch, m.Accel)...)
	argv = append(argv, "-smp", strconv.Itoa(m.CPUs), "-m", strconv.FormatInt(m.Memory>>20, 10))
	argv = append(argv, m.Board.firmwareArgs(m.Host.Firmware, m.VarsFD)...)
	argv = append(argv,
		"-chardev", m.serial(),
		"-serial", "chardev:ser",
		"-qmp", "unix:"+escape(m.qmpPath())+",server=on,wait=off",
		"-device", m.Board.virtio("rng"), "-device", m.Board.virtio("gpu"),
		"-netdev", m.network(), "-device", m.nic())
	for i, d := range m.Disks {
		argv = append(argv, diskArgs(i, d, m.Board.disk())...)
	}
	return append(argv, m.Board.Extra...)
}

func (m Machine) serial() string {
	chardev := "socket,id=ser,server=on,wait=on,path=" + escape(m.serialPath())
	if m.LogFile != "" {
		chardev += ",logfile=" + escape(m.LogFile) + ",logappend=off"
	}
	return chardev
}

// nic returns the network device.
func (m Machine) nic() string {
	nic := m.Board.nic()
	if m.MAC != "" {
		nic += ",mac=" + m.MAC
	}
	return nic
}

func (m Machine) network() string {
	if m.SSHPort == 0 {
		return "user,id=net,restrict=on"
	}
	return fmt.Sprintf("user,id=net,hostfwd=tcp:127.0.0.1:%d-:22", m.SSHPort)
}

func (m Machine) serialPath() string { return filepath.Join(m.Dir, "serial") }
func (m Machine) qmpPath() string    { return filepath.Join(m.Dir, "qmp") }

// diskArgs returns the arguments of a disk: the image is opened read-only, below the
// overlay.
func diskArgs(i int, d Disk, device string) []string {
	id := "disk" + strconv.Itoa(i)
	base := []string{
		"-blockdev", "driver=file,node-name=" + id + "-file,read-only=on,filename=" + escape(d.Path),
		"-blockdev", "driver=" + d.Format + ",node-name=" + id + "-base,read-only=on,file=" + id + "-file",
	}
	if d.Overlay == "" {
		return append(base, "-device", device+",drive="+id+"-base")
	}
	sparse := ""
	if d.Sparse {
		sparse = ",discard=unmap,detect-zeroes=unmap"
	}
	// bootindex: otherwise the firmware may try the network for minutes
	return append(base,
		"-blockdev", "driver=file,node-name="+id+"-over,filename="+escape(d.Overlay)+strings.TrimSuffix(sparse, ",detect-zeroes=unmap"),
		"-blockdev", "driver=qcow2,node-name="+id+",file="+id+"-over,backing="+id+"-base"+sparse,
		"-device", device+",drive="+id+",bootindex="+strconv.Itoa(i))
}

// escape doubles commas, which is QEMU's escape for a comma in the value of an option.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }
