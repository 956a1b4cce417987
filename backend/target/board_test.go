package target

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"ingot/backend/qemu"
)

// The keys of machine: give the board of a target's proofs; without them it is the
// default board, and the proof has no further inputs.
func TestBoard(t *testing.T) {
	r, err := user(t, "mine", head+"extends: debian-12-arm64\nmachine: {qemu: {type: \"virt,acpi=off\", cpu: {tcg: cortex-a57}, firmware: uboot, bus: mmio, disk: virtio-blk-device, nic: virtio-net-device, extra: [-nographic]}, minMemory: 1GiB}\n").Get("mine")
	want := qemu.Board{Type: "virt,acpi=off", CPU: map[string]string{"tcg": "cortex-a57"}, Firmware: "uboot", Bus: "mmio", Disk: "virtio-blk-device", NIC: "virtio-net-device", Extra: []string{"-nographic"}, MinMemory: 1 << 30}
	if err != nil || !reflect.DeepEqual(r.Board(), want) {
		t.Errorf("%+v, %v", r.Board(), err)
	}
	base, err := user(t, "mine", head+"extends: debian-12-arm64\n").Get("mine")
	if err != nil || !reflect.DeepEqual(base.Board(), qemu.Board{}) || len(base.ProofInputs()) != 0 {
		t.Errorf("%+v, %v, %v", base.Board(), base.ProofInputs(), err)
	}
	for text, want := range map[string]string{
		"machine: {vz: \"no\"}\n":                    "", // has no key for QEMU
		"machine: {minMemory: 1GiB}\n":               "recipe's machine",
		"machine: {qemu: {bus: pci}}\n":              "recipe's machine",
		"console: {panic: [x]}\n":                    "recipe's console",
		"identity: {run: uname -r, want: release}\n": "recipe's identity",
	} {
		r, err := user(t, "mine", head+"extends: debian-12-arm64\n"+text).Get("mine")
		var got []string
		for name := range r.ProofInputs() {
			got = append(got, name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s%q, %v", text, got, err)
		}
	}
}

// Invalid values are refused with file, line and the accepted values.
func TestBadBoardAndConsole(t *testing.T) {
	const start = head + "extends: debian-12-arm64\n" // the next line is the fifth
	for text, want := range map[string]string{
		"machine:\n  qemu:\n    bus: isa":                     `mine.yaml:7: key "machine.qemu.bus": "isa" is not known; accepted: pci, mmio`,
		"machine:\n  qemu: {firmware: coreboot}":              `mine.yaml:6: key "machine.qemu.firmware": "coreboot" is not known; accepted: edk2, uboot, none`,
		"machine:\n  qemu: {firmware: bios}":                  `mine.yaml:6: key "machine.qemu.firmware": "bios" is not known; accepted: edk2, uboot, none`,
		"machine: {qemu: {cpu: {xen: host}}}":                 `mine.yaml:5: key "machine.qemu.cpu.xen": "xen" is not an accelerator; accepted: hvf, kvm, tcg`,
		"machine: {qemu: {cpu: {tcg: \"a b\"}}}":              `mine.yaml:5: key "machine.qemu.cpu.tcg": "a b" is not a CPU`,
		"machine: {qemu: {type: \"virt,accel=hvf\"}}":         `mine.yaml:5: key "machine.qemu.type": "virt,accel=hvf" is not a machine type; accepted: a type`,
		"machine: {qemu: {disk: \"virtio-blk-pci,drive=x\"}}": `mine.yaml:5: key "machine.qemu.disk": "virtio-blk-pci,drive=x" is not a device; accepted:`,
		"machine: {qemu: {nic: \"-netdev user\"}}":            `mine.yaml:5: key "machine.qemu.nic": "-netdev user" is not a device; accepted:`,
		"machine: {vz: maybe}":                                `mine.yaml:5: key "machine.vz": "maybe" is not known; accepted: yes, no, unknown`,
		"fallback: {qemu: {bus: isa}}":                        `mine.yaml:5: key "fallback.qemu.bus": "isa" is not known; accepted: pci, mmio`,
		"console:\n  panic: [ok, \"(\"]":                      `mine.yaml:6: key "console.panic": "(" is not a regular expression; accepted: those of Go`,
		"console: {stuck: [\"\"]}":                            `mine.yaml:5: key "console.stuck": "" is not a regular expression`,
		"console: {marks: {grub: [x]}}":                       `mine.yaml:5: key "console.marks": "grub" is not known; accepted: firmware, loader, kernel, init, login`,
		"console: {marks: {init: [\"[\"]}}":                   `mine.yaml:5: key "console.marks.init": "[" is not a regular expression`,
		"console: {deadlines: {lunch: 1m}}":                   `mine.yaml:5: key "console.deadlines": "lunch" is not known; accepted: firmware, loader, kernel, init, login, answer`,
		"console: {prompt: \"(\"}":                            `mine.yaml:5: key "console.prompt": "(" is not a regular expression`,
		"console: {reboots: 99}":                              `mine.yaml:5: key "console.reboots": 99 is not a number of reboots; accepted: 0 to 5`,
		"console: {shell: fish}":                              `mine.yaml:5: key "console.shell": "fish" is not known; accepted: sh, csh, ksh`,
		"console: {login: {user: \"\"}}":                      `mine.yaml:5: key "console.login": user and password`,
		"identity: {run: \"\", want: token}":                  `mine.yaml:5: key "identity.run": "" is not a command`,
		"identity: {run: x, want: name}":                      `mine.yaml:5: key "identity.want": "name" is not known; accepted: buildId, release, token`,
	} {
		if _, err := user(t, "mine", start+text+"\n").Get("mine"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n  %v\nwant\n  %s", text, err, want)
		}
	}
	amd := strings.Replace(start, "arm64", "amd64", 1) + "machine: {qemu: {firmware: bios}}\n"
	if r, err := user(t, "mine", amd).Get("mine"); err != nil || !slices.Contains(qemu.Firmwares(r.Arch), r.Board().Firmware) {
		t.Errorf("bios on amd64: %v", err)
	}
}
