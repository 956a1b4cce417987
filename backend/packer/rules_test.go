package packer

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ingot/backend/cause"
)

// source is a template with one machine.
func source(args string) string {
	return "source \"qemu\" \"vm\" {\n" + args + "\n}\nbuild { sources = [\"source.qemu.vm\"] }\n"
}

// good is a machine that starts on a Mac; a test adds what is wrong.
var good = map[string]string{
	"iso_url":           `"https://example.org/x.iso"`,
	"iso_checksum":      `"none"`,
	"ssh_username":      `"root"`,
	"qemu_binary":       `"qemu-system-aarch64"`,
	"machine_type":      `"virt"`,
	"accelerator":       `"hvf"`,
	"cpu_model":         `"host"`,
	"headless":          `true`,
	"memory":            `2048`,
	"efi_firmware_code": `"/opt/homebrew/share/qemu/edk2-aarch64-code.fd"`,
	"efi_firmware_vars": `"/opt/homebrew/share/qemu/edk2-arm-vars.fd"`,
}

// with returns the good template with changed arguments; the value "" removes one.
func with(changes map[string]string) string {
	var lines []string
	all := map[string]string{}
	for _, m := range []map[string]string{good, changes} {
		for name, value := range m {
			all[name] = value
		}
	}
	for name, value := range all {
		if value != "" {
			lines = append(lines, "  "+name+" = "+value)
		}
	}
	slices.Sort(lines)
	return source(strings.Join(lines, "\n"))
}

type changes = map[string]string

// diagnoseText diagnoses a template's text for a platform.
func diagnoseText(t *testing.T, text, platform string) *Diagnosis {
	t.Helper()
	file := filepath.Join(t.TempDir(), "t.pkr.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Diagnose(context.Background(), Options{Path: file, For: platform})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every rule finds what is wrong, and does not find it where it is right.
func TestRules(t *testing.T) {
	bios := changes{"efi_firmware_code": "", "efi_firmware_vars": ""}
	and := func(a, b changes) changes {
		out := changes{}
		for _, m := range []changes{a, b} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	for _, c := range []struct {
		id    string
		wrong changes
		right changes
		line  string // the finding's line
	}{
		{id: "qemu.binary-missing", wrong: changes{"qemu_binary": `"qemu-kvm"`}, right: changes{"qemu_binary": `"qemu-system-riscv64"`, "machine_type": `"virt"`}, line: "qemu_binary"},
		{id: "qemu.machine-unsupported", wrong: changes{"machine_type": `"q35"`}, right: changes{"machine_type": `"virt-9.2"`}, line: "machine_type"},
		{id: "qemu.machine-unsupported", wrong: changes{"qemuargs": `[["-M", "pc,accel=hvf"]]`, "accelerator": `"none"`}, right: changes{"qemuargs": `[["-M", "virt,accel=hvf"]]`, "accelerator": `"none"`}, line: "qemuargs"},
		{id: "qemu.accel-unavailable", wrong: changes{"accelerator": `"kvm"`, "cpu_model": `"cortex-a57"`}, right: changes{"accelerator": `"tcg"`, "cpu_model": `"cortex-a57"`}, line: "accelerator"},
		{id: "qemu.accel-unavailable", wrong: changes{"accelerator": `"none"`, "qemuargs": `[["-accel", "kvm"], ["-accel", "whpx"]]`}, right: changes{"accelerator": `"none"`, "qemuargs": `[["-accel", "kvm"], ["-accel", "hvf"]]`}, line: "qemuargs"},
		{id: "qemu.accel-twice", wrong: changes{"qemuargs": `[["-accel", "hvf"]]`}, right: changes{"accelerator": `"none"`, "qemuargs": `[["-accel", "hvf"]]`}, line: "qemuargs"},
		{id: "packer.accel-dropped", wrong: changes{"cpu_model": `"cortex-a57"`, "qemuargs": `[["-machine", "virt,gic-version=3"]]`}, right: changes{"qemuargs": `[["-machine", "virt,gic-version=3,accel=hvf"]]`}, line: "qemuargs"},
		{id: "qemu.cpu-unknown", wrong: changes{"accelerator": `"tcg"`}, right: changes{"accelerator": `"tcg"`, "cpu_model": `"max"`}, line: "cpu_model"},
		{id: "qemu.cpu-unknown", wrong: changes{"cpu_model": `"Haswell-v4"`}, right: changes{"cpu_model": `"cortex-a72"`}, line: "cpu_model"},
		{id: "qemu.cpu-unknown", wrong: changes{"accelerator": `"none"`, "qemuargs": `[["-machine", "type=virt,accel=hvf:tcg"]]`}, right: changes{"accelerator": `"none"`, "qemuargs": `[["-machine", "type=virt,accel=hvf:kvm"]]`}, line: "cpu_model"},
		{id: "packer.no-cpu", wrong: changes{"cpu_model": ""}, right: changes{"cpu_model": "", "qemuargs": `[["-cpu", "host"]]`}},
		{id: "packer.no-firmware", wrong: and(bios, changes{"qemuargs": `[["-boot", "strict=off"]]`}), right: and(bios, changes{"qemuargs": `[["-boot", "strict=off"], ["-kernel", "Image"]]`})},
		{id: "qemu.firmware-missing", wrong: changes{"efi_firmware_code": `"/usr/local/share/qemu/edk2-aarch64-code.fd"`}, right: nil, line: "efi_firmware_code"},
		{id: "qemu.firmware-missing", wrong: changes{"efi_firmware_vars": `"/opt/local/share/qemu/edk2-arm-vars.fd"`}, right: nil, line: "efi_firmware_vars"},
		{id: "qemu.firmware-missing", wrong: and(bios, changes{"firmware": `"/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"`, "qemuargs": `[["-boot", "n"]]`}), right: and(bios, changes{"firmware": `"edk2-aarch64-code.fd"`, "qemuargs": `[["-boot", "n"]]`}), line: "firmware ="},
		{id: "qemu.firmware-twice", wrong: changes{"firmware": `"edk2-aarch64-code.fd"`}, right: nil, line: "firmware ="},
		{id: "qemu.boot-order-unsupported", wrong: and(bios, changes{"firmware": `"edk2-aarch64-code.fd"`}), right: and(bios, changes{"firmware": `"edk2-aarch64-code.fd"`, "qemuargs": `[["-boot", "order=d,menu=on"]]`})},
		{id: "qemu.memory-layout", wrong: changes{"machine_type": `"virt,highmem=off"`, "memory": "3073"}, right: changes{"machine_type": `"virt,highmem=off"`, "memory": "3072"}, line: "memory"},
		{id: "qemu.memory-layout", wrong: changes{"machine_type": `"virt,highmem=off"`, "qemuargs": `[["-m", "size=4G"]]`}, right: changes{"machine_type": `"virt,highmem=on"`, "qemuargs": `[["-m", "4G"]]`}, line: "qemuargs"},
		{id: "qemu.cpu-count", wrong: changes{"machine_type": `"virt,gic-version=2"`, "cpus": "9"}, right: changes{"machine_type": `"virt,gic-version=2"`, "cpus": "8"}, line: "cpus"},
		{id: "qemu.display-unsupported", wrong: changes{"headless": "false"}, right: changes{"headless": "false", "use_default_display": "true"}},
		{id: "qemu.display-unsupported", wrong: changes{"headless": "false", "display": `"sdl,gl=on"`}, right: changes{"headless": "false", "display": `"cocoa"`}, line: "display"},
		{id: "qemu.vga-unavailable", wrong: changes{"vga": `"virtio"`}, right: changes{"vga": `"cirrus"`}, line: "vga"},
		{id: "qemu.vga-unavailable", wrong: changes{"qemuargs": `[["-device", "virtio-vga,id=v"]]`}, right: changes{"qemuargs": `[["-device", "virtio-gpu-pci,id=v"]]`}, line: "qemuargs"},
		{id: "qemu.bus-unsupported", wrong: changes{"disk_interface": `"ide"`}, right: changes{"disk_interface": `"virtio-scsi"`}, line: "disk_interface"},
		{id: "qemu.bus-unsupported", wrong: changes{"cdrom_interface": `"scsi"`}, right: changes{"cdrom_interface": `"virtio-scsi"`}, line: "cdrom_interface"},
		{id: "qemu.bus-unsupported", wrong: changes{"floppy_files": `["a"]`}, right: changes{"cd_files": `["a"]`}},
		{id: "qemu.device-bus-missing", wrong: changes{"qemuargs": `[["-device", "usb-tablet"]]`}, right: changes{"qemuargs": `[["-device", "nec-usb-xhci"], ["-device", "usb-tablet"]]`}, line: "qemuargs"},
		{id: "qemu.device-bus-missing", wrong: changes{"qemuargs": `[["-device", "virtserialport,chardev=c"], ["-chardev", "null,id=c"]]`}, right: changes{"qemuargs": `[["-device", "virtio-serial"], ["-device", "virtserialport,chardev=c"], ["-chardev", "null,id=c"]]`}, line: "qemuargs"},
		{id: "qemu.device-bus-missing", wrong: changes{"qemuargs": `[["-device", "qemu-xhci,bus=pci.0"]]`}, right: changes{"qemuargs": `[["-device", "qemu-xhci,bus=pcie.0"]]`}, line: "qemuargs"},
		{id: "qemu.netdev-missing", wrong: changes{"qemuargs": `[["-netdev", "user,id=n0,hostfwd=tcp::{{ .SSHHostPort }}-:22"]]`}, right: changes{"qemuargs": `[["-netdev", "user,id=n0,hostfwd=tcp::{{ .SSHHostPort }}-:22"], ["-device", "virtio-net,netdev=n0"]]`}},
		{id: "qemu.id-duplicate", wrong: changes{"qemuargs": `[["-chardev", "null,id=a"], ["-chardev", "null,id=a"]]`}, right: changes{"qemuargs": `[["-chardev", "null,id=a"], ["-chardev", "null,id=b"]]`}, line: "qemuargs"},
		{id: "qemu.id-duplicate", wrong: changes{"cdrom_interface": `"virtio"`}, right: changes{"cdrom_interface": `"virtio"`, "disk_interface": `"virtio-scsi"`}, line: "cdrom_interface"},
		{id: "qemu.chardev-twice", wrong: changes{"qemuargs": `[["-serial", "stdio"], ["-monitor", "stdio"]]`}, right: changes{"qemuargs": `[["-serial", "stdio"], ["-monitor", "none"]]`}, line: "qemuargs"},
		{id: "qemu.chardev-twice", wrong: changes{"qemuargs": `[["-nographic", ""], ["-serial", "stdio"]]`}, right: changes{"qemuargs": `[["-nographic", ""], ["-serial", "mon:stdio"]]`}, line: "qemuargs"},
		{id: "packer.args-replaced", wrong: changes{"qemuargs": `[["-drive", "file=seed.img,format=raw,if=virtio"]]`}, right: changes{"qemuargs": `[["-fw_cfg", "name=opt/a,string=b"]]`}, line: "qemuargs"},
		{id: "packer.args-replaced", wrong: changes{"disk_interface": `"virtio-scsi"`, "qemuargs": `[["-device", "virtio-gpu-pci"]]`}, right: changes{"disk_interface": `"virtio"`, "qemuargs": `[["-device", "virtio-gpu-pci"]]`}, line: "qemuargs"},
		{id: "packer.args-replaced", wrong: changes{"qemuargs": `[["-netdev", "user,id=user.0,ipv6=off"]]`}, right: changes{"qemuargs": `[["-netdev", "user,id=user.0,ipv6=off"]]`, "communicator": `"none"`}, line: "qemuargs"},
		{id: "packer.disk-format", wrong: changes{"format": `"raw"`, "qemuargs": drives("qcow2")}, right: changes{"format": `"raw"`, "qemuargs": drives("raw")}, line: "qemuargs"},
		{id: "packer.no-keyboard", wrong: changes{"boot_command": `["<enter>"]`, "qemuargs": `[["-device", "virtio-gpu-pci"]]`}, right: changes{"boot_command": `["<enter>"]`, "qemuargs": `[["-device", "virtio-gpu-pci"], ["-device", "driver=virtio-keyboard-pci"]]`}, line: "boot_command"},
		{id: "packer.console-not-typed", wrong: changes{"boot_command": `["<enter>"]`, "qemuargs": `[["-serial", "stdio"]]`}, right: changes{"boot_command": `["<enter>"]`, "qemuargs": `[["-chardev", "vc,id=c"], ["-serial", "chardev:c"], ["-monitor", "none"]]`}, line: "boot_command"},
		{id: "packer.console-not-typed", wrong: changes{"boot_command": `["<enter>"]`}, right: changes{"boot_command": `["<enter>"]`, "qemuargs": `[["-monitor", "none"]]`}, line: "boot_command"},
		{id: "packer.console-not-typed", wrong: changes{"boot_steps": `[["<enter>"]]`, "qemuargs": `[["-serial", "vc"]]`}, right: changes{"boot_steps": `[["<enter>"]]`, "disable_vnc": "true"}, line: "boot_steps"},
		{id: "guest.acpi-hang", wrong: changes{"iso_url": `"https://cdn.openbsd.org/pub/OpenBSD/7.4/arm64/install74.iso"`}, right: changes{"iso_url": `"https://cdn.openbsd.org/pub/OpenBSD/7.3/arm64/install73.iso"`}, line: "machine_type"},
		{id: "guest.acpi-hang", wrong: changes{"iso_url": `"file:///x/miniroot79.img"`}, right: changes{"iso_url": `"file:///x/miniroot79.img"`, "machine_type": `"virt,acpi=off"`}, line: "machine_type"},
		{id: "packer.argument-unknown", wrong: changes{"headles": "true"}, right: changes{"skip_compaction": "true"}, line: "headles ="},
		{id: "packer.value-invalid", wrong: changes{"disk_interface": `"nvme"`}, right: changes{"disk_interface": `"virtio"`}, line: "disk_interface"},
		{id: "packer.value-invalid", wrong: changes{"net_bridge": `"br0"`}, right: changes{"net_bridge": `null`}, line: "net_bridge"},
		{id: "packer.value-invalid", wrong: changes{"disk_size": `"8 GB"`}, right: changes{"disk_size": `8192`}, line: "disk_size"},
		{id: "packer.value-invalid", wrong: changes{"boot_command": `["a"]`, "boot_steps": `[["a"]]`, "qemuargs": `[["-monitor", "none"]]`}, right: changes{"boot_steps": `[["a"]]`, "qemuargs": `[["-monitor", "none"]]`}, line: "boot_steps"},
	} {
		t.Run(c.id, func(t *testing.T) {
			text := with(c.wrong)
			d := diagnoseText(t, text, mac)
			if got := idsOf(d.Findings); !slices.Equal(got, []string{c.id}) {
				t.Errorf("%v: %v %+v", c.wrong, got, d.Findings)
			}
			for _, f := range d.Findings {
				line := strings.Split(text, "\n")[f.Line-1]
				if !strings.Contains(line, c.line) {
					t.Errorf("%v: the finding is at line %d, %q", c.wrong, f.Line, line)
				}
				if f.Why == "" || f.Fix == "" || f.Certainty == "" || f.From == "" {
					t.Errorf("%v: %+v", c.wrong, f)
				}
			}
			if d := diagnoseText(t, with(c.right), mac); len(d.Findings) > 0 {
				t.Errorf("%v: %+v", c.right, d.Findings)
			}
		})
	}
}

func drives(format string) string {
	return `[["-drive", "file={{ .OutputDir }}/{{ .Name }},if=virtio,format=` + format + `"], ["-drive", "file=x.iso,media=cdrom"], ["-drive", "file=/opt/homebrew/share/qemu/edk2-aarch64-code.fd,if=pflash,format=raw"]]`
}

// Every id that the package names is in the rule pack, with a meaning and a fix.
func TestIDsAreInThePack(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	pack, err := cause.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range idText.FindAllStringSubmatch(string(b), -1) {
			n++
			if f, ok := pack.Describe(id[1]); !ok || f.Means == "" || f.Fix == "" {
				t.Errorf("%s: %s is not in the pack", file, id[1])
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d ids were found", n)
	}
}

// Where it is not known whether /dev/kvm can be opened, the machine is known all the same.
func TestMachineWithoutItsAccelerator(t *testing.T) {
	d := diagnoseText(t, source(`qemu_binary = "qemu-system-aarch64"`), "linux/amd64")
	if ids := idsOf(d.Findings); !slices.Contains(ids, "qemu.machine-unsupported") || slices.Contains(ids, "qemu.accel-unavailable") {
		t.Errorf("%v", ids)
	}
}

// A variable without a value makes the findings impossible that rest on it.
func TestNothingIsGuessed(t *testing.T) {
	vars := `
variable "binary" {}
variable "machine" {}
variable "args" {}
variable "display" {}
variable "firmware" {}
variable "accel" {}
variable "memory" {}
`
	for name, change := range map[string]changes{
		"binary":   {"qemu_binary": "var.binary", "machine_type": `"pc"`},
		"machine":  {"machine_type": "var.machine", "cpu_model": ""},
		"args":     {"qemuargs": "var.args", "cpu_model": "", "efi_firmware_code": "", "efi_firmware_vars": "", "machine_type": `"pc"`},
		"row":      {"qemuargs": `concat([["-boot", "once=d"]], var.args)`, "efi_firmware_code": "", "efi_firmware_vars": "", "cpu_model": ""},
		"display":  {"headless": "false", "display": "var.display"},
		"headless": {"headless": "var.display"},
		"firmware": {"efi_firmware_code": "var.firmware", "efi_firmware_vars": "var.firmware"},
		"accel":    {"accelerator": "var.accel"},
		"memory":   {"machine_type": `"virt,highmem=off"`, "memory": "var.memory"},
		"drive":    {"qemuargs": `[["-drive", "file=${var.firmware}"]]`},
		"device":   {"qemuargs": `[["-device", var.args], ["-device", "usb-kbd"]]`},
	} {
		if d := diagnoseText(t, vars+with(change), mac); len(d.Findings) > 0 {
			t.Errorf("%s: %+v", name, d.Findings)
		} else if len(d.Problems) == 0 {
			t.Errorf("%s: the variable is not named", name)
		}
	}
}

var idText = regexp.MustCompile(`"((?:qemu|packer|guest)\.[a-z]+(?:-[a-z]+)*)"`)
