package qemu

import (
	"cmp"
	"strings"
)

// Board is a machine type with its devices. A field that is empty has the default of
// the architecture: the machine virt for arm64 and q35 for amd64, UEFI firmware, and
// virtio devices on PCI.
type Board struct {
	Type      string            // value of -machine, with its options but without accel=, which is a separate argument
	CPU       map[string]string // value of -cpu, by accelerator: hvf, kvm, tcg
	Firmware  string            // one of Firmwares
	Bus       string            // one of Buses: the bus of virtio devices
	Disk      string            // value of -device, without its drive
	NIC       string            // value of -device, without its netdev
	Extra     []string          // further arguments, appended at the end
	MinMemory int64             // bytes
}

// Kinds of firmware.
const (
	EDK2       = "edk2"  // UEFI in two flash chips
	UBoot      = "uboot" // U-Boot in place of the BIOS
	BIOS       = "bios"  // the default BIOS of QEMU for amd64 (SeaBIOS)
	NoFirmware = "none"  // no firmware: the arguments in Extra start something
)

// Firmwares returns the kinds of firmware of an architecture, the default first.
func Firmwares(arch string) []string {
	if arch == "amd64" {
		return []string{EDK2, UBoot, BIOS, NoFirmware}
	}
	return []string{EDK2, UBoot, NoFirmware}
}

// Buses are the buses of virtio devices, the default first.
var Buses = []string{"pci", "mmio"}

// Accelerators are the accelerators for which a recipe can name a CPU.
var Accelerators = []string{"hvf", "kvm", "tcg"}

// machineArgs returns the arguments for machine type, accelerator and CPU.
func (b Board) machineArgs(arch, accel string) []string {
	cpu := "host"
	if accel == "tcg" {
		cpu = "max"
		if arch == "arm64" {
			cpu = "max,pauth-impdef=on"
		}
	}
	cpu = cmp.Or(b.CPU[accel], cpu)
	machine := cmp.Or(b.Type, map[string]string{"arm64": "virt", "amd64": "q35"}[arch])
	if accel == "tcg" {
		accel = "tcg,thread=multi"
	}
	return []string{"-M", machine, "-accel", accel, "-cpu", cpu}
}

// firmwareArgs returns the arguments for the firmware.
func (b Board) firmwareArgs(f Firmware, vars string) []string {
	switch b.Firmware {
	case UBoot:
		return []string{"-bios", f.Code} // not an option list: commas need no escape
	case BIOS, NoFirmware:
		return nil
	}
	return []string{
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + escape(f.Code),
		"-drive", "if=pflash,format=raw,unit=1,file=" + escape(vars),
	}
}

// virtio returns the name of a virtio device on the board's bus.
func (b Board) virtio(kind string) string {
	if b.Bus == "mmio" {
		return "virtio-" + kind + "-device"
	}
	return "virtio-" + kind + "-pci"
}

// disk returns the device of a disk, without its drive.
func (b Board) disk() string { return cmp.Or(b.Disk, b.virtio("blk")) }

// nic returns the network device for the netdev "net". On PCI it has no boot ROM:
// Debian ships the ROMs in a separate package (ipxe-qemu), and nothing boots from the
// network.
func (b Board) nic() string {
	nic := cmp.Or(b.NIC, b.virtio("net"))
	name, _, _ := strings.Cut(nic, ",")
	if nic += ",netdev=net"; strings.HasSuffix(name, "-device") || strings.HasPrefix(name, "usb-") || strings.Contains(nic, "romfile=") {
		return nic
	}
	return nic + ",romfile="
}
