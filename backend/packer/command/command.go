// Package command predicts the command line that Packer's builder qemu gives to QEMU for
// a machine of a template.
//
// A Field is an argument of the template, or the builder's default for it. A Command is a
// list of Args, each with the argument of the template that decides it and its position.
// What waits for a value that is not known is not known either.
package command

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
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

// Known reports whether the value is known.
func (a Arg) Known() bool { return len(a.Depends) == 0 }

// Command is the command line that a builder gives to QEMU.
type Command struct {
	Binary Field
	Args   []Arg
	// Replaced are the builder's own arguments that qemuargs replaces.
	Replaced []Arg
	// Open is what qemuargs waits for. If it is not empty, nothing follows from the
	// absence of an argument.
	Open []string
}

// Argv returns the command line; values that are not known are "?".
func (c Command) Argv() []string {
	argv := []string{c.Binary.Text}
	for _, a := range c.Args {
		argv = append(argv, a.Key)
		switch {
		case !a.Known():
			argv = append(argv, "?")
		case len(a.Accel) > 0:
			argv = append(argv, a.Value+",accel=?")
		case a.Value != "":
			argv = append(argv, a.Value)
		}
	}
	return argv
}

// All returns the arguments of a key.
func (c Command) All(keys ...string) (out []Arg) {
	for _, a := range c.Args {
		if slices.Contains(keys, a.Key) {
			out = append(out, a)
		}
	}
	return out
}

// Absent reports that the command has none of the keys; false where that is not known.
func (c Command) Absent(keys ...string) bool { return len(c.Open) == 0 && len(c.All(keys...)) == 0 }

// options is the command's default arguments while they are collected.
type options struct {
	s    *Settings
	args []Arg
}

// add adds an argument whose value is that of a text in which each %s is the text of a
// field. It is not known if one of the fields is not.
func (o *options) add(key, format string, fields ...Field) {
	a := Arg{Key: key, At: o.s.Header, Default: true}
	texts := make([]any, len(fields))
	for i, f := range fields {
		texts[i] = f.Text
		a.Depends = append(a.Depends, f.Depends...)
		if f.Set && a.Argument == "" {
			a.Argument, a.At = f.Name, f.At
		}
	}
	if a.Known() {
		a.Value = fmt.Sprintf(format, texts...)
	}
	o.args = append(o.args, a)
}

// Predict returns the command of a source.
func Predict(s *Settings) Command {
	o := &options{s: s}
	o.boot()
	o.machine()
	o.network()
	o.display()
	o.drives()
	c := Command{Binary: s.Text("qemu_binary", "qemu-system-x86_64"), Args: o.args}
	c.override(s)
	return c
}

func (o *options) boot() {
	s := o.s
	efi, efiKnown := s.EFI()
	drive := "once=d"
	if yes, _ := s.IsTrue("disk_image"); yes {
		drive = "c"
	}
	switch {
	case s.Builder == InTree || efiKnown && !efi:
		o.add("-boot", drive)
	case !efiKnown:
		o.add("-boot", "%s", Field{Depends: []string{"efi_boot"}})
	}
	if s.qmp() {
		o.add("-qmp", "unix:%s,server,nowait", s.Text("qmp_socket_path", s.Output().Text+"/"+s.VMName().Text+".monitor"))
	}
	o.add("-name", "%s", s.VMName())
}

func (o *options) machine() {
	s := o.s
	typ, accel := s.Text("machine_type", "pc"), s.accelerator()
	switch {
	case !accel.Known():
		o.add("-machine", "type=%s", typ)
		o.args[len(o.args)-1].Accel = accel.Depends
	case accel.Text == "none":
		o.add("-machine", "type=%s", typ)
	default:
		o.add("-machine", "type=%s,accel=%s", typ, accel)
	}
	memory := s.Text("memory", "512")
	if n, err := strconv.Atoi(memory.Text); err == nil && n < 10 {
		memory.Text = "512" // as the plugin does
	}
	o.add("-m", "%sM", memory)
	if smp, ok := s.smp(); ok {
		o.add("-smp", "%s", smp)
	}
	if s.Builder == InTree {
		return
	}
	if cpu := s.Text("cpu_model", ""); cpu.Set {
		o.add("-cpu", "%s", cpu)
	}
	if firmware := s.Text("firmware", ""); firmware.Set {
		if pflash, _ := s.IsTrue("use_pflash"); !pflash {
			o.add("-bios", "%s", firmware)
		}
	}
	if vga := s.Text("vga", ""); vga.Set {
		o.add("-vga", "%s", vga)
	}
}

func (o *options) network() {
	s := o.s
	bridge := s.Text("net_bridge", "")
	switch {
	case bridge.Set:
		o.add("-netdev", "bridge,id=user.0,br=%s", bridge)
	case s.Communicator() == "none":
		o.add("-netdev", "user,id=user.0")
	default:
		guest := s.Text("ssh_port", "22")
		if s.Communicator() == "winrm" {
			guest = s.Text("winrm_port", "5985")
		}
		o.add("-netdev", "user,id=user.0,hostfwd=tcp::%s-:%s", s.HostPort(), guest)
	}
	port, err := strconv.Atoi(s.Text("vnc_port_min", "5900").Text)
	if err != nil {
		port = 5900
	}
	password := ""
	if yes, _ := s.IsTrue("vnc_use_password"); yes {
		password = ",password"
	}
	o.add("-vnc", "%s:"+strconv.Itoa(max(0, port-5900))+password, s.Text("vnc_bind_address", "127.0.0.1"))
}

func (o *options) display() {
	s := o.s
	headless, known := s.IsTrue("headless")
	display := s.Text("display", "")
	useDefault, useKnown := s.IsTrue("use_default_display")
	switch {
	case headless:
	case !known || !useKnown || !display.Known():
		o.add("-display", "%s", Field{Depends: []string{"headless, display or use_default_display"}})
	case display.Text != "" && display.Text != "none":
		o.add("-display", "%s", display)
	case !useDefault:
		o.add("-display", "gtk")
	}
	if tpm, _ := s.IsTrue("vtpm"); tpm && s.Builder == Plugin {
		o.add("-chardev", "socket,id=vtpm,path=SWTPM")
		o.add("-tpmdev", "emulator,id=tpm0,chardev=vtpm")
	}
}

// drives adds disks, network card, CDs and flash chips.
func (o *options) drives() {
	s := o.s
	iface := s.Text("disk_interface", "virtio")
	scsi := 0 // drives on the SCSI bus
	for i := range s.disks() {
		file := s.Disk(i)
		options := []Field{file, iface, s.Text("disk_cache", "writeback"), s.Text("disk_discard", "ignore"), s.Text("format", "qcow2")}
		format := "file=%s,if=%s,cache=%s,discard=%s,format=%s"
		if iface.Text == "virtio-scsi" {
			if scsi == 0 {
				o.add("-device", "virtio-scsi-pci,id=scsi0")
			}
			o.add("-device", "scsi-hd,bus=scsi0.0,drive=drive"+strconv.Itoa(i))
			format = "if=none,file=%s,id=drive" + strconv.Itoa(i) + ",cache=%s,discard=%s,format=%s"
			options = slices.Delete(options, 1, 2)
			scsi++
		}
		if zeroes := s.Text("disk_detect_zeroes", "off"); zeroes.Text != "off" || !zeroes.Known() {
			format += ",detect-zeroes=%s"
			options = append(options, zeroes)
		}
		o.add("-drive", format, options...)
	}
	o.add("-device", "%s,netdev=user.0", s.Text("net_device", "virtio-net"))
	if image, known := s.IsTrue("disk_image"); known && !image {
		o.cd(0, s.iso(), &scsi)
	}
	if s.Given("cd_files") || s.Given("cd_content") {
		o.cd(1, Field{Text: "CD"}, &scsi)
	}
	if s.Given("floppy_files") || s.Given("floppy_dirs") || s.Given("floppy_content") {
		o.add("-fda", "FLOPPY")
	}
	if s.Builder == InTree {
		return
	}
	if pflash, _ := s.IsTrue("use_pflash"); pflash {
		if f := s.Text("firmware", ""); f.Set {
			o.add("-drive", "file=%s,if=pflash,format=raw,readonly=on", f)
		}
	}
	if efi, _ := s.EFI(); efi {
		o.add("-drive", "file=%s,if=pflash,unit=0,format=raw,readonly=on", s.Text("efi_firmware_code", DefaultCode))
		o.add("-drive", "file=%s,if=pflash,unit=1,format=raw", Field{Text: path.Join(s.Output().Text, "efivars.fd"), Depends: s.Output().Depends})
	}
	if tpm, _ := s.IsTrue("vtpm"); tpm {
		o.add("-device", "%s,tpmdev=tpm0", s.Text("tpm_device_type", "tpm-tis"))
	}
}

// Firmware of the plugin's option efi_boot without paths.
const (
	DefaultCode = "/usr/share/OVMF/OVMF_CODE.fd"
	DefaultVars = "/usr/share/OVMF/OVMF_VARS.fd"
)

func (o *options) cd(i int, file Field, scsi *int) {
	n := strconv.Itoa(i)
	iface := o.s.Text("cdrom_interface", "")
	switch {
	case !iface.Set:
		o.add("-drive", "file=%s,media=cdrom", file)
	case iface.Text == "virtio-scsi":
		index := n
		if o.s.Builder == Plugin {
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
func (c *Command) override(s *Settings) {
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
	nic := s.Text("net_device", "virtio-net")
	if keys["-device"] && nic.Known() && !AnyContains(user, "-device", nic.Text) {
		// the builder adds the network card again: hashicorp/packer#6804
		user = append(user, Arg{Key: "-device", Value: nic.Text + ",netdev=user.0", At: s.Header, Default: true, Argument: nic.Name})
	}
	c.Args = append(args, user...)
}

// AnyContains reports whether an argument of the key contains a text, or is not known.
func AnyContains(args []Arg, key, part string) bool {
	return slices.ContainsFunc(args, func(a Arg) bool { return a.Key == key && (!a.Known() || strings.Contains(a.Value, part)) })
}

// Resolved returns a command with the arguments of a log. Each keeps the position of the
// predicted argument of its key.
func (c Command) Resolved(argv []string) Command {
	out := Command{Binary: c.Binary, Replaced: c.Replaced}
	out.Binary.Text, out.Binary.Depends = baseOf(argv[0]), nil
	used := map[string]int{}
	for i := 1; i < len(argv); i++ {
		a := Arg{Key: argv[i]}
		if i+1 < len(argv) && !IsOption(argv[i+1]) {
			a.Value = argv[i+1]
			i++
		}
		if predicted := c.All(a.Key); len(predicted) > 0 {
			p := predicted[min(used[a.Key], len(predicted)-1)]
			used[a.Key]++
			a.Argument, a.At, a.Default = p.Argument, p.At, p.Default
		}
		out.Args = append(out.Args, a)
	}
	return out
}

func baseOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

var option = regexp.MustCompile(`^--?[A-Za-z]`)

// IsOption reports whether a word of a command line is an option, and no value.
func IsOption(s string) bool { return option.MatchString(s) }
