package packer

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"ingot/backend/packer/template"
)

// Builder is a generation of Packer's builder qemu.
type Builder int

// Builders.
const (
	// Plugin is packer-plugin-qemu 1.1.x. Its rules are read from its source:
	// https://github.com/hashicorp/packer-plugin-qemu/tree/94d9fee5c9e115ac1da679a35593bed3badb6302/builder/qemu
	Plugin Builder = iota
	// InTree is the builder within Packer 1.6.6. Its rules are measured: the arguments
	// were compared with the line "Executing …" of its logs.
	InTree
)

// String names the builder for people.
func (b Builder) String() string {
	if b == InTree {
		return "the builder within Packer 1.6.6"
	}
	return "packer-plugin-qemu 1.1.x"
}

// Arg is one option of QEMU's command line with its value.
type Arg struct {
	Key, Value string
	Depends    []string  // what the value waits for; not empty: Value is not known
	Accel      []string  // of -machine: what the accelerator alone waits for; Value is without it
	Argument   string    // the template's argument that decides it, "" for none
	At         hcl.Range // where that is; of a default, the header of the source
	Default    bool      // the builder adds it; false: it stands in qemuargs
}

func (a Arg) known() bool { return len(a.Depends) == 0 }

// Command is the command line that a builder gives to QEMU.
type Command struct {
	Binary field
	Args   []Arg
	// Replaced are the builder's own arguments that qemuargs replaces.
	Replaced []Arg
	// Open is what qemuargs waits for. If it is not empty, nothing follows from the
	// absence of an argument.
	Open []string
}

// Argv returns the command line; values that are not known are "?".
func (c Command) Argv() []string {
	argv := []string{c.Binary.text}
	for _, a := range c.Args {
		argv = append(argv, a.Key)
		switch {
		case !a.known():
			argv = append(argv, "?")
		case len(a.Accel) > 0:
			argv = append(argv, a.Value+",accel=?")
		case a.Value != "":
			argv = append(argv, a.Value)
		}
	}
	return argv
}

// all returns the arguments of a key.
func (c Command) all(keys ...string) (out []Arg) {
	for _, a := range c.Args {
		if slices.Contains(keys, a.Key) {
			out = append(out, a)
		}
	}
	return out
}

// absent reports that the command has none of the keys; false where that is not known.
func (c Command) absent(keys ...string) bool { return len(c.Open) == 0 && len(c.all(keys...)) == 0 }

// options is the command's default arguments while they are collected.
type options struct {
	s    *settings
	args []Arg
}

// add adds an argument whose value is that of a text in which each %s is the text of a
// field. It is not known if one of the fields is not.
func (o *options) add(key, format string, fields ...field) {
	a := Arg{Key: key, At: o.s.header, Default: true}
	texts := make([]any, len(fields))
	for i, f := range fields {
		texts[i] = f.text
		a.Depends = append(a.Depends, f.depends...)
		if f.set && a.Argument == "" {
			a.Argument, a.At = f.name, f.at
		}
	}
	if a.known() {
		a.Value = fmt.Sprintf(format, texts...)
	}
	o.args = append(o.args, a)
}

// predict returns the command of a source.
func predict(s *settings) Command {
	o := &options{s: s}
	o.boot()
	o.machine()
	o.network()
	o.display()
	o.drives()
	c := Command{Binary: s.text("qemu_binary", "qemu-system-x86_64"), Args: o.args}
	c.override(s)
	return c
}

func (o *options) boot() {
	s := o.s
	efi, efiKnown := s.efi()
	drive := "once=d"
	if yes, _ := s.isTrue("disk_image"); yes {
		drive = "c"
	}
	switch {
	case s.builder == InTree || efiKnown && !efi:
		o.add("-boot", drive)
	case !efiKnown:
		o.add("-boot", "%s", field{depends: []string{"efi_boot"}})
	}
	if s.qmp() {
		o.add("-qmp", "unix:%s,server,nowait", s.text("qmp_socket_path", s.output().text+"/"+s.vmName().text+".monitor"))
	}
	o.add("-name", "%s", s.vmName())
}

func (o *options) machine() {
	s := o.s
	typ, accel := s.text("machine_type", "pc"), s.accelerator()
	switch {
	case !accel.known():
		o.add("-machine", "type=%s", typ)
		o.args[len(o.args)-1].Accel = accel.depends
	case accel.text == "none":
		o.add("-machine", "type=%s", typ)
	default:
		o.add("-machine", "type=%s,accel=%s", typ, accel)
	}
	memory := s.text("memory", "512")
	if n, err := strconv.Atoi(memory.text); err == nil && n < 10 {
		memory.text = "512" // as the plugin does
	}
	o.add("-m", "%sM", memory)
	if smp, ok := s.smp(); ok {
		o.add("-smp", "%s", smp)
	}
	if s.builder == InTree {
		return
	}
	if cpu := s.text("cpu_model", ""); cpu.set {
		o.add("-cpu", "%s", cpu)
	}
	if firmware := s.text("firmware", ""); firmware.set {
		if pflash, _ := s.isTrue("use_pflash"); !pflash {
			o.add("-bios", "%s", firmware)
		}
	}
	if vga := s.text("vga", ""); vga.set {
		o.add("-vga", "%s", vga)
	}
}

func (o *options) network() {
	s := o.s
	bridge := s.text("net_bridge", "")
	switch {
	case bridge.set:
		o.add("-netdev", "bridge,id=user.0,br=%s", bridge)
	case s.communicator() == "none":
		o.add("-netdev", "user,id=user.0")
	default:
		guest := s.text("ssh_port", "22")
		if s.communicator() == "winrm" {
			guest = s.text("winrm_port", "5985")
		}
		o.add("-netdev", "user,id=user.0,hostfwd=tcp::%s-:%s", s.hostPort(), guest)
	}
	port, err := strconv.Atoi(s.text("vnc_port_min", "5900").text)
	if err != nil {
		port = 5900
	}
	password := ""
	if yes, _ := s.isTrue("vnc_use_password"); yes {
		password = ",password"
	}
	o.add("-vnc", "%s:"+strconv.Itoa(max(0, port-5900))+password, s.text("vnc_bind_address", "127.0.0.1"))
}

func (o *options) display() {
	s := o.s
	headless, known := s.isTrue("headless")
	display := s.text("display", "")
	useDefault, useKnown := s.isTrue("use_default_display")
	switch {
	case headless:
	case !known || !useKnown || !display.known():
		o.add("-display", "%s", field{depends: []string{"headless, display or use_default_display"}})
	case display.text != "" && display.text != "none":
		o.add("-display", "%s", display)
	case !useDefault:
		o.add("-display", "gtk")
	}
	if tpm, _ := s.isTrue("vtpm"); tpm && s.builder == Plugin {
		o.add("-chardev", "socket,id=vtpm,path=SWTPM")
		o.add("-tpmdev", "emulator,id=tpm0,chardev=vtpm")
	}
}

// drives adds disks, network card, CDs and flash chips.
func (o *options) drives() {
	s := o.s
	iface := s.text("disk_interface", "virtio")
	scsi := 0 // drives on the SCSI bus
	for i := range s.disks() {
		file := s.disk(i)
		options := []field{file, iface, s.text("disk_cache", "writeback"), s.text("disk_discard", "ignore"), s.text("format", "qcow2")}
		format := "file=%s,if=%s,cache=%s,discard=%s,format=%s"
		if iface.text == "virtio-scsi" {
			if scsi == 0 {
				o.add("-device", "virtio-scsi-pci,id=scsi0")
			}
			o.add("-device", "scsi-hd,bus=scsi0.0,drive=drive"+strconv.Itoa(i))
			format = "if=none,file=%s,id=drive" + strconv.Itoa(i) + ",cache=%s,discard=%s,format=%s"
			options = slices.Delete(options, 1, 2)
			scsi++
		}
		if zeroes := s.text("disk_detect_zeroes", "off"); zeroes.text != "off" || !zeroes.known() {
			format += ",detect-zeroes=%s"
			options = append(options, zeroes)
		}
		o.add("-drive", format, options...)
	}
	o.add("-device", "%s,netdev=user.0", s.text("net_device", "virtio-net"))
	if image, known := s.isTrue("disk_image"); known && !image {
		o.cd(0, s.iso(), &scsi)
	}
	if s.given("cd_files") || s.given("cd_content") {
		o.cd(1, field{text: "CD"}, &scsi)
	}
	if s.given("floppy_files") || s.given("floppy_dirs") || s.given("floppy_content") {
		o.add("-fda", "FLOPPY")
	}
	if s.builder == InTree {
		return
	}
	if pflash, _ := s.isTrue("use_pflash"); pflash {
		if f := s.text("firmware", ""); f.set {
			o.add("-drive", "file=%s,if=pflash,format=raw,readonly=on", f)
		}
	}
	if efi, _ := s.efi(); efi {
		o.add("-drive", "file=%s,if=pflash,unit=0,format=raw,readonly=on", s.text("efi_firmware_code", defaultCode))
		o.add("-drive", "file=%s,if=pflash,unit=1,format=raw", field{text: path.Join(s.output().text, "efivars.fd"), depends: s.output().depends})
	}
	if tpm, _ := s.isTrue("vtpm"); tpm {
		o.add("-device", "%s,tpmdev=tpm0", s.text("tpm_device_type", "tpm-tis"))
	}
}

// Firmware of the plugin's option efi_boot without paths.
const (
	defaultCode = "/usr/share/OVMF/OVMF_CODE.fd"
	defaultVars = "/usr/share/OVMF/OVMF_VARS.fd"
)

func (o *options) cd(i int, file field, scsi *int) {
	n := strconv.Itoa(i)
	iface := o.s.text("cdrom_interface", "")
	switch {
	case !iface.set:
		o.add("-drive", "file=%s,media=cdrom", file)
	case iface.text == "virtio-scsi":
		index := n
		if o.s.builder == Plugin {
			if *scsi == 0 {
				o.add("-device", "virtio-scsi-pci,id=scsi0")
			}
			index = strconv.Itoa(*scsi)
		}
		o.add("-drive", "file=%s,if=none,index="+index+",id=cdrom"+n+",media=cdrom", file)
		o.add("-device", "virtio-scsi-device")
		o.add("-device", "scsi-cd,drive=cdrom"+n)
		*scsi++
	default:
		o.add("-drive", "file=%s,if=%s,index="+n+",id=cdrom"+n+",media=cdrom", file, iface)
	}
}

// override applies qemuargs: a key in it replaces every default of that key.
func (c *Command) override(s *settings) {
	user, open := s.qemuargs()
	c.Open = open
	keys := map[string]bool{}
	for _, a := range user {
		keys[a.Key] = true
	}
	var args []Arg
	for _, a := range c.Args {
		switch {
		case keys[a.Key]:
			c.Replaced = append(c.Replaced, a)
		case len(open) > 0:
			a.Depends = append(a.Depends, open...) // qemuargs may replace it
			args = append(args, a)
		default:
			args = append(args, a)
		}
	}
	nic := s.text("net_device", "virtio-net")
	if keys["-device"] && nic.known() && !anyContains(user, "-device", nic.text) {
		// the builder adds the network card again: hashicorp/packer#6804
		user = append(user, Arg{Key: "-device", Value: nic.text + ",netdev=user.0", At: s.header, Default: true, Argument: nic.name})
	}
	c.Args = append(args, user...)
}

func anyContains(args []Arg, key, part string) bool {
	return slices.ContainsFunc(args, func(a Arg) bool { return a.Key == key && (!a.known() || strings.Contains(a.Value, part)) })
}

// sourceName names a source for people.
func sourceName(s template.Source) string { return "qemu." + s.Name }
