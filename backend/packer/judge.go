package packer

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"ingot/backend/packer/command"
	"ingot/backend/packer/platform"
	"ingot/backend/qemu"
)

// judgement is a command line that is judged for a platform.
type judgement struct {
	editor

	ctx  context.Context
	p    *platform.Platform
	e    platform.Emulator
	arch string // of the guest, as Go names it; "" is not known
	out  []Finding
}

// rules are tried in this order; each adds what it finds.
var rules = []func(*judgement){
	ruleArguments, ruleValues,
	ruleBinary, ruleMachine, ruleAccelTwice, ruleAccelerator, ruleAccelDropped,
	ruleCpu, ruleFirmware, ruleBootOrder, ruleMemory, ruleCpuCount,
	ruleDisplay, ruleVga, ruleDriveBuses, ruleDevices, ruleNetdevs,
	ruleIds, ruleDriveIndexes, ruleStdio, ruleArgsReplaced, ruleDiskFormat, ruleKeyboard, ruleAcpi, rulePorts,
}

// judge returns the findings of one machine.
func judge(ctx context.Context, s *command.Settings, c command.Command, p *platform.Platform) []Finding {
	j := &judgement{editor: editor{s: s, c: c}, ctx: ctx, p: p}
	if c.Binary.Known() {
		j.e = p.Emulator(ctx, c.Binary.Text)
		j.arch = platform.GuestArch(c.Binary.Text)
	}
	for rank, rule := range rules {
		before := len(j.out)
		rule(j)
		for i := range j.out[before:] {
			j.out[before+i].rank = rank
		}
	}
	return j.out
}

// asked is the certainty of a finding that rests on what the platform has.
func (j *judgement) asked() Certainty {
	if j.p.Date != "" {
		return FromSource
	}
	return Measured
}

// certainty is that of a finding about an argument: one that the plugin adds by itself is
// known from its source.
func (j *judgement) certainty(a command.Arg, c Certainty) Certainty {
	if a.Default && j.s.Builder == command.Plugin && c == Measured {
		return FromSource
	}
	return c
}

// found adds a finding about an argument. why and fix replace the texts of the rule pack
// unless they are empty.
func (j *judgement) found(id string, a command.Arg, c Certainty, from, why, fix string, edits ...edit) {
	d := means(id)
	f := Finding{ID: id, Machine: sourceName(j.s.Source), Written: written(a), Why: d.Means, Fix: d.Fix, Certainty: c, From: from, edits: edits, Fixable: len(edits) > 0}
	if why != "" {
		f.Why = why
	}
	if fix != "" {
		f.Fix = fix
	}
	at := a.At
	if at.Filename == "" {
		at = j.s.Header
	}
	f.at(at)
	j.out = append(j.out, f)
}

// written is what the template writes, or what the builder makes of it.
func written(a command.Arg) string {
	text := strings.TrimSpace(a.Key + " " + a.Value)
	switch {
	case a.Key == "":
		return a.Argument
	case !a.Default:
		return text
	case a.Argument != "":
		return a.Argument + ", which gives " + text
	}
	return "nothing, which gives " + text
}

// here is an argument for a finding about something that is absent.
func (j *judgement) here() command.Arg { return command.Arg{At: j.s.Header, Default: true} }

// binary checks that the program of QEMU exists.
func ruleBinary(j *judgement) {
	if j.e.Found != platform.No {
		return
	}
	b := j.c.Binary
	j.found("qemu.binary-missing", command.Arg{Argument: `qemu_binary = "` + b.Text + `"`, At: b.At}, j.asked(), FromMachine, b.Text+" is not on "+j.p.Title, "")
}

// machineOptions are the options of -machine.
type machineOptions struct {
	typ     string // "" is QEMU's default
	options map[string]string
	arg     command.Arg // of the type, else the last one
	known   bool
}

// machineArgs reads every -machine and -M.
func (j *judgement) machineArgs() machineOptions {
	m := machineOptions{options: map[string]string{}, known: len(j.c.Open) == 0}
	for _, a := range j.c.All("-machine", "-M") {
		if !a.Known() {
			m.known, m.arg = false, a
			continue
		}
		for i, part := range splitOptions(a.Value) {
			key, value, has := strings.Cut(part, "=")
			switch {
			case !has && i == 0:
				m.typ, m.arg = part, a
			case key == "type":
				m.typ, m.arg = value, a
			case has:
				m.options[key] = value
			}
		}
		if m.arg.Key == "" {
			m.arg = a
		}
	}
	return m
}

// isVirt reports whether the machine is known to be arm64's virt.
func (j *judgement) isVirt() bool {
	m := j.machineArgs()
	return j.arch == "arm64" && m.known && (m.typ == "virt" || strings.HasPrefix(m.typ, "virt-"))
}

// splitOptions splits a value of QEMU at its commas; two commas stand for one.
func splitOptions(value string) []string {
	const comma = "\x00"
	parts := strings.Split(strings.ReplaceAll(value, ",,", comma), ",")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], comma, ",")
	}
	return parts
}

// optionOf returns the value of a key in a value of QEMU.
func optionOf(value, key string) (string, bool) {
	for _, part := range splitOptions(value) {
		if v, ok := strings.CutPrefix(part, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

func ruleMachine(j *judgement) {
	m := j.machineArgs()
	if !m.known || m.typ == "" || j.e.Machines.Has(m.typ) != platform.No {
		return
	}
	instead := map[string]string{"arm64": "virt", "amd64": "q35"}[j.arch]
	why := fmt.Sprintf("%s has no machine %q", j.c.Binary.Text, m.typ)
	if m.arg.Default && !m.argSet() {
		why += ", which the builder takes where machine_type is not set"
	}
	fix := "see `" + j.c.Binary.Text + " -machine help`"
	var edits []edit
	if instead != "" {
		fix = fmt.Sprintf("machine_type = %q", instead)
		edits = j.set(m.arg, "machine_type", instead)
	}
	j.found("qemu.machine-unsupported", m.arg, j.certainty(m.arg, j.asked()), FromMachine, why, fix, edits...)
}

// argSet reports whether an argument of the template decides the machine.
func (m machineOptions) argSet() bool { return m.arg.Argument != "" }

// accelChain returns the accelerators in the order in which QEMU tries them, with the
// argument that names each.
func (j *judgement) accelChain() (names []string, args []command.Arg, known bool) {
	known = len(j.c.Open) == 0
	for _, a := range j.c.All("-accel", "-machine", "-M", "-enable-kvm") {
		var list []string
		switch {
		case !a.Known() || len(a.Accel) > 0:
			known = false
		case a.Key == "-enable-kvm":
			list = []string{"kvm"}
		case a.Key == "-accel":
			list = []string{splitOptions(a.Value)[0]}
		default:
			if v, ok := optionOf(a.Value, "accel"); ok {
				list = strings.Split(v, ":")
			}
		}
		for _, name := range list {
			names, args = append(names, strings.TrimPrefix(name, "accel=")), append(args, a)
		}
	}
	return names, args, known
}

// effectiveAccel is the accelerator that QEMU will use; "" is not known.
func (j *judgement) effectiveAccel() string {
	names, _, known := j.accelChain()
	if !known {
		return ""
	}
	for _, n := range names {
		switch a, _ := j.e.Accel(n); {
		case a == platform.Yes, a == platform.NotKnown && len(names) == 1 && n == "tcg":
			return n
		case a == platform.NotKnown:
			return ""
		}
	}
	if len(names) == 0 {
		return "tcg" // QEMU's own default where it has TCG
	}
	return ""
}

// bestAccel is the accelerator that a template for this guest should name.
func (j *judgement) bestAccel() string {
	for _, n := range []string{"hvf", "kvm"} {
		if a, _ := j.e.Accel(n); a == platform.Yes {
			return n
		}
	}
	return "tcg"
}

func ruleAccelerator(j *judgement) {
	names, args, known := j.accelChain()
	if !known || len(names) == 0 {
		return
	}
	var reasons []string
	for _, n := range names {
		a, why := j.e.Accel(n)
		if a != platform.No {
			return
		}
		reasons = append(reasons, why)
	}
	a := args[0]
	if f := j.s.Text("accelerator", ""); a.Default {
		if a.Argument = argumentOf(f); f.Set {
			a.At = f.At
		}
	}
	best := j.bestAccel()
	fix := fmt.Sprintf("accelerator = %q", best)
	if best == "tcg" && j.arch != "" && j.arch != j.p.Arch {
		fix += fmt.Sprintf(" (slow: a guest for %s on a computer for %s), or an image for %s", j.arch, j.p.Arch, j.p.Arch)
	}
	j.found("qemu.accel-unavailable", a, j.certainty(a, j.asked()), FromMachine, strings.Join(slices.Compact(reasons), "; "), fix, j.set(a, "accelerator", best)...)
}

func ruleAccelTwice(j *judgement) {
	var machine, accel *command.Arg
	for _, a := range j.c.All("-machine", "-M") {
		if _, ok := optionOf(a.Value, "accel"); ok {
			machine = &a
		}
	}
	for _, a := range j.c.All("-accel") {
		if accel == nil {
			accel = &a
		}
	}
	if machine == nil || accel == nil || !accel.Known() {
		return
	}
	fix := `accelerator = "none", which leaves the choice to -accel in qemuargs`
	j.found("qemu.accel-twice", *accel, j.certainty(*machine, Measured), FromTemplate,
		fmt.Sprintf("QEMU gets %s and %s %s; it accepts only one of the two ways", strings.TrimSpace(accel.Key+" "+accel.Value), machine.Key, machine.Value), fix, j.set(*machine, "accelerator", "none")...)
}

func (j *judgement) has(id string) bool {
	return slices.ContainsFunc(j.out, func(f Finding) bool { return f.ID == id })
}

// accelDropped finds a -machine in qemuargs that takes the template's accelerator away.
func ruleAccelDropped(j *judgement) {
	accel := j.s.Text("accelerator", "")
	if !accel.Set || !accel.Known() || !slices.Contains([]string{"hvf", "kvm", "whpx", "hax", "xen"}, accel.Text) {
		return
	}
	replaced := slices.ContainsFunc(j.c.Replaced, func(a command.Arg) bool { return a.Key == "-machine" })
	if names, _, known := j.accelChain(); !replaced || !known || len(names) > 0 {
		return
	}
	a := j.c.All("-machine")[0]
	var edits []edit
	if typ := j.machineArgs(); typ.typ != "" && len(typ.options) == 0 {
		edits = append(j.removeRows("-machine"), j.set(command.Arg{Default: true}, "machine_type", typ.typ)...)
	}
	j.found("packer.accel-dropped", a, j.certainty(command.Arg{Default: true}, Measured), FromTemplate,
		fmt.Sprintf("this -machine replaces the builder's, and with it accelerator = %q: QEMU runs with TCG, which is much slower", accel.Text),
		fmt.Sprintf("remove it and set machine_type, or write accel=%s in it", accel.Text), edits...)
}

func ruleCpu(j *judgement) {
	cpus := j.c.All("-cpu")
	if len(cpus) == 0 {
		j.noCPU()
		return
	}
	a := cpus[len(cpus)-1]
	if !a.Known() {
		return
	}
	name := splitOptions(a.Value)[0]
	if name == "host" {
		j.hostCPU(a)
		return
	}
	if j.e.CPUs.Has(name) == platform.No {
		best := j.bestCPU()
		j.found("qemu.cpu-unknown", a, j.certainty(a, j.asked()), FromMachine, fmt.Sprintf("%s has no CPU %q", j.c.Binary.Text, name), "-cpu "+best, j.setCPU(a, best)...)
	}
}

// bestCPU is the CPU that goes with the accelerator.
func (j *judgement) bestCPU() string {
	switch accel := j.effectiveAccel(); {
	case accel == "hvf" || accel == "kvm":
		return "host"
	case j.arch == "arm64":
		return "cortex-a57"
	}
	return "max"
}

// noCPU finds an arm64 virt machine without -cpu.
func (j *judgement) noCPU() {
	if !j.isVirt() || !j.c.Absent("-cpu") {
		return
	}
	best := j.bestCPU()
	fix := fmt.Sprintf(`add ["-cpu", %q] to qemuargs`, best)
	if fast := j.bestAccel(); fast != "tcg" && j.effectiveAccel() == "tcg" {
		fix += fmt.Sprintf("; with accelerator = %q it is many times faster", fast)
	}
	j.found("packer.no-cpu", j.here(), j.certainty(j.here(), Measured), FromTemplate, "", fix, j.addRow("-cpu", best)...)
}

// hostCPU judges -cpu host: it needs an accelerator that runs the guest on the real
// processor.
func (j *judgement) hostCPU(a command.Arg) {
	names, _, known := j.accelChain()
	if !known || j.has("qemu.accel-twice") {
		return
	}
	best := "max"
	if j.arch == "arm64" {
		best = "cortex-a57"
	}
	edits := j.setCPU(a, best)
	fix := "-cpu " + best
	switch accel := j.effectiveAccel(); {
	case accel == "tcg":
		j.found("qemu.cpu-unknown", a, j.certainty(a, j.asked()), FromMachine, "the CPU is host, but QEMU runs with TCG, which has none of that name", fix, edits...)
	case len(names) > 1 && slices.Contains(names, "tcg"):
		j.found("qemu.cpu-unknown", a, Likely, FromTemplate,
			fmt.Sprintf("the accelerators are tried in the order %s; with tcg, the last resort, there is no CPU host, and QEMU ends", strings.Join(names, ", ")),
			fix+", which works with all of them, or leave tcg out", edits...)
	}
}

// flash is a flash chip or a ROM of the command.
type flash struct {
	file string
	rom  bool // given by -bios
	unit string
	arg  command.Arg
}

// flashes returns the firmware of the command; known is false where one may be missing
// from it.
func (j *judgement) flashes() (out []flash, known bool) {
	_, efi := j.s.EFI()
	_, chip := j.s.IsTrue("use_pflash")
	known = len(j.c.Open) == 0 && efi && chip
	for _, a := range j.c.All("-bios", "-pflash", "-drive") {
		switch {
		case !a.Known():
			known = false
		case a.Key == "-bios":
			out = append(out, flash{file: a.Value, rom: true, arg: a})
		case a.Key == "-pflash":
			out = append(out, flash{file: a.Value, arg: a})
		default:
			if v, _ := optionOf(a.Value, "if"); v != "pflash" {
				continue
			}
			file, _ := optionOf(a.Value, "file")
			unit, _ := optionOf(a.Value, "unit")
			out = append(out, flash{file: file, unit: unit, arg: a})
		}
	}
	return out, known
}

func ruleFirmware(j *judgement) {
	list, known := j.flashes()
	rom, chip := -1, -1
	for i, f := range list {
		switch {
		case f.rom:
			rom = i
		case f.unit != "1":
			chip = i
		}
		j.firmwareFile(f)
	}
	if rom >= 0 && chip >= 0 {
		j.found("qemu.firmware-twice", list[rom].arg, j.certainty(list[rom].arg, Measured), FromTemplate, "", "", j.unset(list[rom].arg, "firmware")...)
	}
	j.varsTemplate()
	if known && len(list) == 0 {
		j.noFirmware()
	}
}

// chipSize is the size of a flash chip of arm64's virt machine, in bytes.
const chipSize = 64 << 20

// firmwareFile checks that a file exists and has the size of its chip.
func (j *judgement) firmwareFile(f flash) {
	out := j.s.Output()
	if f.file == "" || out.Known() && strings.HasPrefix(path.Clean(f.file), out.Text+"/") {
		return // the builder makes it
	}
	j.checkFile(f.file, f.rom, f.arg, "efi_firmware_code", false)
}

func (j *judgement) checkFile(file string, rom bool, a command.Arg, argument string, vars bool) {
	got := j.p.File(file, rom)
	switch {
	case got.Found == platform.No:
		c := j.certainty(a, j.asked())
		if !path.IsAbs(file) && c == Measured {
			c = Likely // the folder in which Packer will be started is not known
		}
		instead, edits := j.firmwareInstead(a, argument, vars)
		j.found("qemu.firmware-missing", a, c, FromMachine, fmt.Sprintf("%s is not on %s", file, j.p.Title), instead, edits...)
	case !rom && j.isVirt() && got.Size > 0 && got.Size != chipSize:
		instead, edits := j.firmwareInstead(a, argument, vars)
		j.found("qemu.firmware-size", a, j.certainty(a, j.asked()), FromMachine, fmt.Sprintf("%s has %d bytes, and a flash chip of the virt machine %d", file, got.Size, chipSize), instead, edits...)
	}
}

// firmwareInstead returns what to write for firmware that is wrong.
func (j *judgement) firmwareInstead(a command.Arg, argument string, vars bool) (fix string, edits []edit) {
	code, store, ok := j.platformFirmware()
	if !ok {
		return "", nil
	}
	if a.Key == "-bios" {
		if a.Argument == "firmware" {
			return fmt.Sprintf("firmware = %q", code), j.set(a, "firmware", code)
		}
		return fmt.Sprintf("-bios %s", code), j.replaceRow(a, "-bios", code)
	}
	if !a.Default {
		return "use " + code, nil
	}
	if vars {
		return fmt.Sprintf("efi_firmware_vars = %q", store), j.set(a, "efi_firmware_vars", store)
	}
	return fmt.Sprintf("efi_firmware_code = %q", code), j.set(a, argument, code)
}

// platformFirmware returns UEFI firmware for the guest that the platform has.
func (j *judgement) platformFirmware() (code, vars string, ok bool) {
	f, err := qemu.FindFirmware(j.arch, func(file string) bool { return j.p.File(file, false).Found == platform.Yes })
	return f.Code, f.Vars, err == nil
}

// varsTemplate checks the file that the plugin copies for UEFI's variables.
func (j *judgement) varsTemplate() {
	efi, known := j.s.EFI()
	vars := j.s.Text("efi_firmware_vars", command.DefaultVars)
	if !efi || !known || !vars.Known() {
		return
	}
	a := command.Arg{Key: "", Argument: fmt.Sprintf("efi_firmware_vars = %q", vars.Text), At: vars.At, Default: true}
	if !vars.Set {
		a.Argument = "nothing, which gives efi_firmware_vars = " + strconv.Quote(vars.Text)
	}
	j.checkFile(vars.Text, false, a, "efi_firmware_vars", true)
}

func (j *judgement) noFirmware() {
	m := j.machineArgs()
	board := j.isVirt() || m.typ != "" && m.known && j.e.Machines.Has(m.typ) == platform.No
	lost := slices.ContainsFunc(j.c.Replaced, func(a command.Arg) bool { return strings.Contains(a.Value, "if=pflash") })
	refused := j.has("packer.argument-unknown") && (j.s.Given("firmware") || j.s.Given("efi_firmware_code") || j.s.Given("efi_boot"))
	if j.arch != "arm64" || !board || lost || refused || len(j.c.All("-kernel")) > 0 || command.AnyContains(j.c.Args, "-device", "loader,") {
		return
	}
	code, vars, ok := j.platformFirmware()
	fix := ""
	var edits []edit
	switch {
	case ok && j.s.Builder == command.Plugin:
		fix = fmt.Sprintf("efi_firmware_code = %q and efi_firmware_vars = %q", code, vars)
		edits = append(j.set(j.here(), "efi_firmware_code", code), j.set(j.here(), "efi_firmware_vars", vars)...)
	case ok:
		fix = fmt.Sprintf(`add ["-bios", %q] to qemuargs`, code)
		edits = j.addRow("-bios", code)
	}
	j.found("packer.no-firmware", j.here(), j.certainty(j.here(), Measured), FromTemplate, "", fix, edits...)
}

// bootOrder finds the one form of -boot that arm64's virt machine refuses: once=.
func ruleBootOrder(j *judgement) {
	if j.arch != "arm64" {
		return
	}
	for _, a := range j.c.All("-boot") {
		if _, once := optionOf(a.Value, "once"); !once || !a.Known() {
			continue
		}
		var edits []edit
		if a.Default {
			edits = j.addRow("-boot", "strict=off")
		} else {
			edits = j.replaceRow(a, "-boot", "strict=off")
		}
		why := "arm64's machines do not accept -boot once=: QEMU ends"
		if a.Default {
			why = "the builder adds -boot " + a.Value + ", which arm64's machines do not accept: QEMU ends"
		}
		fix := `add ["-boot", "strict=off"] to qemuargs`
		if j.s.Builder == command.Plugin {
			fix += ", or set efi_firmware_code and efi_firmware_vars, with which the plugin leaves -boot out"
		}
		j.found("qemu.boot-order-unsupported", a, j.certainty(a, Measured), FromTemplate, why, fix, edits...)
		return
	}
}
