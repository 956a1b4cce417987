package packer

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ingot/backend/packer/command"
	"ingot/backend/packer/platform"
)

// mebibytes reads a value of -m.
func mebibytes(value string) (int64, bool) {
	text := splitOptions(value)[0]
	text = strings.TrimPrefix(text, "size=")
	unit := 1.0
	switch {
	case text == "":
		return 0, false
	case strings.ContainsAny(text[len(text)-1:], "gG"):
		unit = 1024
	case strings.ContainsAny(text[len(text)-1:], "tT"):
		unit = 1024 * 1024
	case strings.ContainsAny(text[len(text)-1:], "kK"):
		unit = 1.0 / 1024
	}
	n, err := strconv.ParseFloat(strings.TrimRight(text, "kKmMgGtT"), 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, false
	}
	return int64(n * unit), true
}

// lowMemory is the memory of arm64's virt machine below 4 GiB, in MiB: it begins at 1 GiB.
const lowMemory = 3072

// memory finds more memory than fits below 4 GiB where highmem=off allows no other.
func ruleMemory(j *judgement) {
	m := j.machineArgs()
	sizes := j.c.All("-m")
	if !j.isVirt() || m.options["highmem"] != "off" || len(sizes) == 0 {
		return
	}
	a := sizes[len(sizes)-1]
	n, ok := mebibytes(a.Value)
	if !ok || n <= lowMemory {
		return
	}
	j.found("qemu.memory-layout", a, j.certainty(a, Measured), FromTemplate,
		fmt.Sprintf("with highmem=off a virt machine has at most %d MiB, and this one has %d", lowMemory, n),
		fmt.Sprintf("memory = %d, or leave highmem=off out", lowMemory), j.setNumber(a, "memory", lowMemory)...)
}

// cpuCount finds more processors than the interrupt controller GICv2 has interfaces for.
func ruleCpuCount(j *judgement) {
	m := j.machineArgs()
	counts := j.c.All("-smp")
	if !j.isVirt() || len(counts) == 0 {
		return
	}
	a := counts[len(counts)-1]
	if !a.Known() {
		return
	}
	first := splitOptions(a.Value)[0]
	n, err := strconv.Atoi(strings.TrimPrefix(first, "cpus="))
	const most = 8
	byDefault := m.options["gic-version"] == "" && strings.HasPrefix(j.e.Version, "7.") && j.effectiveAccel() == "tcg"
	if err != nil || n <= most || m.options["gic-version"] != "2" && !byDefault {
		return
	}
	j.found("qemu.cpu-count", a, j.certainty(a, Measured), FromTemplate,
		fmt.Sprintf("the machine has %d processors, and its interrupt controller GICv2 serves %d", n, most),
		"cpus = 8, or gic-version=3 in machine_type", j.setNumber(a, "cpus", most)...)
}

func ruleDisplay(j *judgement) {
	for _, a := range j.c.All("-display") {
		if !a.Known() {
			continue
		}
		name := splitOptions(a.Value)[0]
		if strings.HasPrefix(name, "vnc") || name == "default" || j.e.Displays.Has(name) != platform.No {
			continue
		}
		why := fmt.Sprintf("%s has no display %q", j.p.Title, name)
		if a.Default && a.Argument == "" {
			why += ", which the builder takes where headless, display and use_default_display are not set"
		}
		fix := "use_default_display = true, or headless = true"
		edits := j.setRaw(j.here(), "use_default_display", "true")
		switch {
		case j.e.Displays.Has("cocoa") == platform.Yes:
			fix = `display = "cocoa", use_default_display = true, or headless = true`
		case j.p.OS == "linux" && j.e.Displays.Has("gtk") != platform.Yes:
			edits = j.setRaw(j.here(), "headless", "true") // a server has no window to open
		}
		if a.Default && a.Argument == "display" {
			edits = j.setRaw(j.here(), "headless", "true")
			if j.e.Displays.Has("cocoa") == platform.Yes {
				edits = j.set(a, "display", "cocoa")
			}
		}
		if !a.Default {
			edits = nil
		}
		j.found("qemu.display-unsupported", a, j.certainty(a, j.asked()), FromMachine, why, fix, edits...)
	}
}

// vga finds the graphics cards with which arm64's virt machine does not start. Of others
// QEMU only warns.
func ruleVga(j *judgement) {
	if !j.isVirt() {
		return
	}
	for _, a := range j.c.All("-vga") {
		if a.Value != "virtio" && a.Value != "qxl" {
			continue
		}
		edits := j.addRow("-device", "virtio-gpu-pci")
		if a.Default {
			edits = append(edits, j.unset(a, "vga")...)
		} else {
			edits = append(edits, j.removeRows("-vga")...)
		}
		j.found("qemu.vga-unavailable", a, j.certainty(a, Measured), FromTemplate, "the virt machine has no VGA card, and QEMU ends with -vga "+a.Value, `["-device", "virtio-gpu-pci"] in qemuargs instead`, edits...)
	}
	for _, d := range j.deviceList() {
		if d.driver == "virtio-vga" {
			j.found("qemu.vga-unavailable", d.arg, j.certainty(d.arg, Measured), FromTemplate, "", "", j.replaceRow(d.arg, "-device", "virtio-gpu-pci"+strings.TrimPrefix(d.arg.Value, "virtio-vga"))...)
		}
	}
}

// driveBuses finds drives on a bus that the machine does not have.
func ruleDriveBuses(j *judgement) {
	virt := j.isVirt()
	for _, a := range j.c.All("-drive", "-fda", "-hda") {
		bus, _ := optionOf(a.Value, "if")
		if a.Key == "-fda" {
			bus = "floppy"
		}
		switch {
		case !a.Known():
		case bus == "sata", virt && slices.Contains([]string{"ide", "scsi", "floppy"}, bus):
			argument := "disk_interface"
			if strings.Contains(a.Value, "media=cdrom") {
				argument = "cdrom_interface"
			}
			fix, edits := fmt.Sprintf("%s = %q or %q", argument, "virtio", "virtio-scsi"), []edit(nil)
			f := j.s.Text(argument, "")
			if a.Default && f.Set && f.Text == bus {
				a.Argument, a.At = argument, f.At
				edits = j.set(a, argument, "virtio")
			}
			if bus == "floppy" {
				fix = "cd_files instead of floppy_files"
			}
			j.found("qemu.bus-unsupported", a, j.certainty(a, Measured), FromTemplate, "the machine has no bus "+bus+" for drives", fix, edits...)
		}
	}
}

// device is one -device.
type device struct {
	driver, id, bus string
	arg             command.Arg
}

// deviceList returns the devices in the order in which QEMU makes them.
func (j *judgement) deviceList() (out []device) {
	for _, a := range j.c.All("-device") {
		d := device{arg: a}
		if !a.Known() || strings.HasPrefix(a.Value, "{") {
			out = append(out, d)
			continue
		}
		d.driver = strings.TrimPrefix(splitOptions(a.Value)[0], "driver=")
		d.id, _ = optionOf(a.Value, "id")
		d.bus, _ = optionOf(a.Value, "bus")
		out = append(out, d)
	}
	return out
}

// Devices that need a bus, by the kind of bus, and those that have one.
var (
	needs = []struct {
		bus    string
		device *regexp.Regexp
		by     *regexp.Regexp
		add    string
	}{
		{"usb", regexp.MustCompile(`^usb-(kbd|mouse|tablet|storage|net|audio|serial|hub|uas|mtp|ccid|braille|wacom-tablet|bot|host|redir)$`), regexp.MustCompile(`xhci|ehci|ohci|uhci`), "qemu-xhci"},
		{"scsi", regexp.MustCompile(`^scsi-(hd|cd|block|generic)$`), regexp.MustCompile(`^(virtio-scsi|lsi|megasas|mptsas|pvscsi|esp|am53c974|dc390|spapr-vscsi|usb-bot|usb-uas|vhost-scsi)`), "virtio-scsi-pci"},
		{"virtio-serial", regexp.MustCompile(`^(virtserialport|virtconsole)$`), regexp.MustCompile(`^virtio-serial`), "virtio-serial"},
	}
	ownUSB = regexp.MustCompile(`(^|,)usb=on(,|$)`)
)

// devices finds devices whose bus does not exist, or is made after them.
func ruleDevices(j *judgement) {
	list := j.deviceList()
	for i, d := range list {
		for _, n := range needs {
			if !n.device.MatchString(d.driver) || n.bus == "usb" && j.boardHasUSB() {
				continue
			}
			before := slices.ContainsFunc(list[:i], func(o device) bool { return o.driver == "" || n.by.MatchString(o.driver) })
			if before || len(j.c.Open) > 0 {
				continue
			}
			after := slices.IndexFunc(list[i:], func(o device) bool { return n.by.MatchString(o.driver) })
			why, edits := fmt.Sprintf("%s needs a %s controller, and the machine has none", d.driver, n.bus), j.insertBefore(d.arg, "-device", n.add)
			if after >= 0 {
				controller := list[i+after]
				why = fmt.Sprintf("%s needs a %s controller, and %s, which is one, comes after it: QEMU makes devices in their order", d.driver, n.bus, controller.driver)
				edits = j.moveBefore(controller.arg, d.arg)
			}
			j.found("qemu.device-bus-missing", d.arg, j.certainty(d.arg, Measured), FromTemplate, why, fmt.Sprintf(`["-device", %q] before it`, n.add), edits...)
			return // what follows needs the same controller
		}
		if d.bus == "pci.0" && j.isVirt() {
			j.found("qemu.device-bus-missing", d.arg, j.certainty(d.arg, Measured), FromTemplate, "the virt machine calls its PCI bus pcie.0", "bus=pcie.0", j.replaceRow(d.arg, "-device", strings.Replace(d.arg.Value, "bus=pci.0", "bus=pcie.0", 1))...)
		}
	}
}

// boardHasUSB reports whether the machine itself has a USB controller, or may have one.
func (j *judgement) boardHasUSB() bool {
	if j.isVirt() {
		return false // also with -usb and usb=on: measured with QEMU 7.2.22
	}
	m := j.machineArgs()
	return j.arch != "amd64" || !m.known || m.options["usb"] == "on" || len(j.c.All("-usb", "-usbdevice")) > 0 || ownUSB.MatchString(m.arg.Value)
}

// netdevs finds network cards whose other side does not exist.
func ruleNetdevs(j *judgement) {
	if len(j.c.Open) > 0 {
		return
	}
	ids := map[string]bool{}
	for _, a := range j.c.All("-netdev", "-nic") {
		id, _ := optionOf(a.Value, "id")
		if !a.Known() {
			return
		}
		ids[id] = true
	}
	for _, a := range j.c.All("-device") {
		id, ok := optionOf(a.Value, "netdev")
		if !ok || !a.Known() || ids[id] {
			continue
		}
		why := fmt.Sprintf("the network card belongs to the netdev %q, which is not there", id)
		fix := fmt.Sprintf("give -netdev id=%s", id)
		if a.Default && j.replaced("-netdev") {
			why = fmt.Sprintf("-netdev in qemuargs replaces the builder's netdev %q, to which its network card belongs", id)
			fix += `, or add ["-device", "virtio-net,netdev=ID"] for yours`
		}
		j.found("qemu.netdev-missing", a, j.certainty(a, Measured), FromTemplate, why, fix)
	}
}

func (j *judgement) replaced(key string) bool {
	return slices.ContainsFunc(j.c.Replaced, func(a command.Arg) bool { return a.Key == key })
}

// ids finds two parts of one kind with the same id.
func ruleIds(j *judgement) {
	for _, key := range []string{"-drive", "-device", "-netdev", "-chardev"} {
		seen := map[string]bool{}
		for _, a := range j.c.All(key) {
			id, ok := optionOf(a.Value, "id")
			if ok && a.Known() && seen[id] {
				j.found("qemu.id-duplicate", a, j.certainty(a, Measured), FromTemplate, fmt.Sprintf("two %s have the id %q", key, id), "")
			}
			seen[id] = true
		}
	}
}

// driveIndexes finds a drive whose number on its bus another one has already: QEMU gives a
// drive without a number the first free one, in the order of the command line.
func ruleDriveIndexes(j *judgement) {
	type position struct {
		bus   string
		index int
	}
	taken := map[position]bool{}
	for _, a := range j.c.All("-drive") {
		bus, given := optionOf(a.Value, "if")
		switch {
		case !a.Known(), len(j.c.Open) > 0:
			return
		case bus == "pflash":
			continue
		case !given && j.isVirt():
			bus = "virtio"
		case !given:
			bus = "ide"
		}
		text, numbered := optionOf(a.Value, "index")
		index, err := strconv.Atoi(text)
		for !numbered && taken[position{bus, index}] {
			index++
		}
		if !numbered || err == nil && !taken[position{bus, index}] {
			taken[position{bus, index}] = true
			continue
		}
		if f := j.s.Text("cdrom_interface", ""); a.Default && f.Set {
			a.Argument, a.At = f.Name, f.At
		}
		j.found("qemu.id-duplicate", a, j.certainty(a, Measured), FromTemplate, fmt.Sprintf("another drive has the number %d on the bus %s already", index, bus), `leave cdrom_interface out, or cdrom_interface = "virtio-scsi" with disks on another bus`, j.unset(a, "cdrom_interface")...)
	}
}

// stdio finds two parts of the machine that are given standard input and output.
func ruleStdio(j *judgement) {
	var users []command.Arg
	monitor, graphic := true, true // QEMU's own choices, where the template makes none
	for _, a := range j.c.All("-serial", "-monitor", "-chardev", "-qmp", "-nographic", "-parallel") {
		first := splitOptions(a.Value)[0]
		if a.Key == "-monitor" {
			monitor = false
		}
		if a.Key == "-nographic" {
			graphic = false
		}
		if first == "stdio" || first == "mon:stdio" {
			users = append(users, a)
		}
	}
	if !graphic && monitor && len(users) == 1 && users[0].Key == "-serial" && users[0].Value == "stdio" {
		users = append(users, j.c.All("-nographic")[0]) // it gives stdio to the monitor
	}
	if len(users) > 1 {
		j.found("qemu.chardev-twice", users[1], j.certainty(users[1], Measured), FromTemplate, fmt.Sprintf("%s and %s both get standard input and output", written(users[0]), written(users[1])), `["-monitor", "none"], or another character device for one of them`)
	}
}

// argsReplaced finds a key in qemuargs that takes away a part that the machine needs.
func ruleArgsReplaced(j *judgement) {
	if len(j.c.Open) > 0 {
		return
	}
	c := j.certainty(command.Arg{Default: true}, Measured)
	if lost, a, ok := j.lostDrives(); ok {
		j.found("packer.args-replaced", a, c, FromTemplate, "-drive in qemuargs replaces all drives of the builder; missing now: "+lost, "write them in qemuargs too, or give the file by cd_files or disk_additional_size", j.restore("-drive")...)
	}
	scsi := slices.ContainsFunc(j.c.Replaced, func(a command.Arg) bool { return a.Key == "-device" && strings.HasPrefix(a.Value, "scsi-") })
	if user := j.c.All("-device"); scsi && !j.replaced("-drive") && !slices.ContainsFunc(user, func(a command.Arg) bool { return !a.Known() || strings.Contains(a.Value, "drive=") }) {
		j.found("packer.args-replaced", user[0], c, FromTemplate, "-device in qemuargs replaces the builder's devices, and with them the SCSI controller and the disks on it", "write them in qemuargs too, or disk_interface = \"virtio\"", j.restore("-device")...)
	}
	j.lostForward(c)
}

// lostDrives returns what the drives in qemuargs leave out.
func (j *judgement) lostDrives() (lost string, at command.Arg, ok bool) {
	if !j.replaced("-drive") {
		return "", command.Arg{}, false
	}
	user := j.c.All("-drive")
	disk := j.s.Disk(0)
	hasDisk, hasCD, chips := false, false, 0
	for _, a := range user {
		if !a.Known() {
			return "", command.Arg{}, false
		}
		file, _ := optionOf(a.Value, "file")
		_, medium := optionOf(a.Value, "media")
		bus, _ := optionOf(a.Value, "if")
		switch {
		case bus == "pflash":
			chips++
		case disk.Known() && path.Clean(file) == disk.Text:
			hasDisk = true
		case medium, strings.HasSuffix(file, ".iso"), slices.Contains(j.s.ISONames(), file), strings.HasPrefix(file, "packer_cache/"):
			hasCD = true
		}
	}
	var missing []string
	image, known := j.s.IsTrue("disk_image")
	if disk.Known() && !hasDisk {
		missing = append(missing, "the disk")
	}
	if known && !image && !hasDisk && !hasCD || known && !image && hasDisk && len(user)-chips < 2 && j.c.Absent("-cdrom", "-kernel", "-hdb", "-hdc") {
		missing = append(missing, "the installer's medium")
	}
	if efi, _ := j.s.EFI(); efi && chips == 0 && j.c.Absent("-bios", "-pflash") {
		missing = append(missing, "the firmware")
	}
	return strings.Join(missing, ", "), user[0], len(missing) > 0
}

// lostForward finds a -netdev in qemuargs without the port by which Packer logs in.
func (j *judgement) lostForward(c Certainty) {
	user := j.c.All("-netdev")
	own := slices.ContainsFunc([]string{"ssh_host", "winrm_host", "skip_nat_mapping", "net_bridge"}, j.s.Given)
	if !j.replaced("-netdev") || own || j.s.Communicator() == "none" || len(user) == 0 {
		return
	}
	for _, a := range user {
		if _, forwards := optionOf(a.Value, "hostfwd"); forwards || !a.Known() || !strings.HasPrefix(a.Value, "user") {
			return
		}
	}
	j.found("packer.args-replaced", user[0], c, FromTemplate, "-netdev in qemuargs replaces the builder's, and with it the port by which Packer logs in", "add hostfwd=tcp::{{ .SSHHostPort }}-:22 to it", j.replaceRow(user[0], "-netdev", user[0].Value+",hostfwd=tcp::{{ .SSHHostPort }}-:22")...)
}

// diskFormat finds a drive in qemuargs that names another format than the builder makes
// the disk in.
func ruleDiskFormat(j *judgement) {
	made, disk := j.s.Text("format", "qcow2"), j.s.Disk(0)
	if !made.Known() || !disk.Known() {
		return
	}
	for _, a := range j.c.All("-drive") {
		file, _ := optionOf(a.Value, "file")
		format, ok := optionOf(a.Value, "format")
		if a.Default || !a.Known() || !ok || path.Clean(file) != disk.Text || format == made.Text {
			continue
		}
		j.found("packer.disk-format", a, j.certainty(command.Arg{Default: true}, Measured), FromTemplate,
			fmt.Sprintf("the builder makes the disk as %s, and this drive reads it as %s", made.Text, format), fmt.Sprintf("format=%s here, or format = %q in the source", made.Text, format), j.set(command.Arg{Default: true, Argument: argumentOf(made)}, "format", format)...)
	}
}

// argumentOf returns the name of a field that the template sets, else "".
func argumentOf(f command.Field) string {
	if f.Set {
		return f.Name
	}
	return ""
}

// Devices of arm64's virt machine that show a picture, and those that take keys.
var (
	graphics = regexp.MustCompile(`^(virtio-gpu|ramfb|bochs-display|VGA|cirrus-vga|virtio-vga|ati-vga|secondary-vga|qxl|virtio-ramfb)`)
	keys     = regexp.MustCompile(`^(usb-kbd|virtio-keyboard|virtio-input|usb-host|i8042)`)
)

// keyboard finds a boot_command that nothing in the machine receives. The builder types it
// into the VNC display; arm64's virt machine has neither a screen nor a keyboard of its
// own, and QEMU then shows a serial console there, unless that goes elsewhere.
func ruleKeyboard(j *judgement) {
	typed := j.s.Given("boot_command") || j.s.Given("boot_steps")
	if off, known := j.s.IsTrue("disable_vnc"); !j.isVirt() || !typed || off || !known || len(j.c.Open) > 0 {
		return
	}
	list := j.deviceList()
	has := func(re *regexp.Regexp) bool {
		return slices.ContainsFunc(list, func(d device) bool { return d.driver == "" || re.MatchString(d.driver) })
	}
	c := j.certainty(command.Arg{Default: true}, Measured)
	a := command.Arg{Argument: "boot_command", At: j.s.Header}
	for _, name := range []string{"boot_command", "boot_steps"} {
		if arg, ok := j.s.Source.Args[name]; ok && j.s.Given(name) {
			a.Argument, a.At = name, arg.Name
		}
	}
	switch screen, serial := has(graphics), j.serialOnScreen(); {
	case !screen && serial && j.monitorFirst():
		j.found("packer.console-not-typed", a, c, FromTemplate, "the machine has no screen, and the VNC display shows QEMU's monitor: boot_command is typed there, and not into the serial console", `add ["-monitor", "none"] to qemuargs: the display then shows the serial console; or give the machine a screen and a keyboard`, j.addRow("-monitor", "none")...)
	case screen && !has(keys):
		j.found("packer.no-keyboard", a, c, FromTemplate, "", "", append(j.addRow("-device", "qemu-xhci"), j.addRow("-device", "usb-kbd")...)...)
	case !screen && !serial:
		j.found("packer.console-not-typed", a, Likely, FromTemplate, "boot_command is typed into the VNC display, where the machine has no screen, and its serial console goes elsewhere", `add ["-device", "virtio-gpu-pci"], ["-device", "qemu-xhci"], ["-device", "usb-kbd"] for an installer on the screen, or let -serial be vc`)
	}
}

// monitorFirst reports whether QEMU's monitor is the first text console of a machine
// without a screen: VNC shows that one. So it is where the template names no other
// monitor, unless the serial console is a -chardev, which QEMU makes before (measured with
// QEMU 7.2.22).
func (j *judgement) monitorFirst() bool {
	if len(j.c.All("-nodefaults")) > 0 {
		return false
	}
	for _, a := range j.c.All("-monitor", "-mon") {
		if !a.Known() || !strings.HasPrefix(a.Value, "vc") {
			return false
		}
	}
	serial := j.c.All("-serial")
	return len(serial) == 0 || strings.HasPrefix(serial[0].Value, "vc")
}

// serialOnScreen reports whether the first serial console is a text console of QEMU, as it
// is where the template does not say.
func (j *judgement) serialOnScreen() bool {
	if len(j.c.All("-nographic")) > 0 {
		return false
	}
	serial := j.c.All("-serial")
	if len(serial) == 0 {
		return len(j.c.All("-nodefaults")) == 0
	}
	first := serial[0]
	if id, ok := strings.CutPrefix(first.Value, "chardev:"); ok {
		for _, a := range j.c.All("-chardev") {
			if got, _ := optionOf(a.Value, "id"); got == id {
				return strings.HasPrefix(a.Value, "vc") || !a.Known()
			}
		}
	}
	return !first.Known() || strings.HasPrefix(first.Value, "vc")
}

// openBSD is the release in the address of an arm64 medium of OpenBSD.
var openBSD = regexp.MustCompile(`(?i)openbsd/(?:snapshots|(\d+)\.(\d))/arm64/|(?:miniroot|install)(\d+)(\d)\.(?:img|iso)`)

// acpi finds OpenBSD with ACPI on a virt machine: from 7.4 on its kernel stops after the
// list of ACPI tables that the firmware gives it.
func ruleAcpi(j *judgement) {
	m := j.machineArgs()
	if !j.isVirt() || m.options["acpi"] == "off" {
		return
	}
	for _, name := range j.s.ISONames() {
		v := openBSD.FindStringSubmatch(name)
		if v == nil {
			continue
		}
		major, _ := strconv.Atoi(v[1] + v[3])
		minor, _ := strconv.Atoi(v[2] + v[4])
		if major*10+minor < 74 && major > 0 {
			continue
		}
		typ := m.typ
		for _, part := range splitOptions(m.arg.Value)[1:] {
			if !strings.HasPrefix(part, "accel=") {
				typ += "," + part
			}
		}
		j.found("guest.acpi-hang", m.arg, Likely, FromTemplate, "the medium is OpenBSD 7.4 or later, whose kernel stops at the ACPI tables of this firmware", "acpi=off: machine_type = \"virt,acpi=off\"", j.set(m.arg, "machine_type", typ+",acpi=off")...)
		return
	}
}

// port is a TCP port on which an argument lets QEMU listen.
var (
	forwarded = regexp.MustCompile(`hostfwd=tcp:[^:,]*:(\d+)-`)
	listening = regexp.MustCompile(`^(?:tcp|telnet):[^:,]*:(\d+)\b.*server`)
)

// ports finds ports of qemuargs that another program listens on.
func rulePorts(j *judgement) {
	for _, a := range j.c.Args {
		if a.Default {
			continue // the builder looks for free ones
		}
		for _, m := range slices.Concat(forwarded.FindAllStringSubmatch(a.Value, -1), listening.FindAllStringSubmatch(a.Value, -1)) {
			n, err := strconv.Atoi(m[1])
			if err != nil || n > 65535 || m[1] == j.s.HostPort().Text || j.p.Port(n) != platform.No {
				continue
			}
			j.found("qemu.port-in-use", a, Measured, FromMachine, fmt.Sprintf("another program listens on port %d", n), "choose another port; {{ .SSHHostPort }} is one that the builder finds free")
		}
	}
}
