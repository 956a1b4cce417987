package target

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ingot/backend/qemu"
)

// Board returns the recipe's board; without keys it is QEMU's default board.
func (r Recipe) Board() (b qemu.Board) {
	if r.Machine == nil {
		return b
	}
	b.MinMemory = int64(r.Machine.MinMemory)
	if q := r.Machine.QEMU; q != nil {
		b.Type, b.CPU, b.Firmware, b.Bus, b.Disk, b.NIC, b.Extra = q.Type, q.CPU, q.Firmware, q.Bus, q.Disk, q.NIC, q.Extra
	}
	return b
}

// ProofInputs returns the recipe's keys, other than proof:, on which a proof depends,
// by their names in its input key. Keys that the recipe does not have are absent.
func (r Recipe) ProofInputs() map[string]any {
	in := map[string]any{}
	if m := r.Machine; m != nil && (m.QEMU != nil || m.MinMemory > 0) {
		in["recipe's machine"] = []any{m.QEMU, m.MinMemory}
	}
	if r.Console != nil {
		in["recipe's console"] = r.Console
	}
	if r.Identity != nil {
		in["recipe's identity"] = r.Identity
	}
	return in
}

// device matches the name of a QEMU -device with options.
var device = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*(,\S+)?$`)

// validate checks the machine at the key.
func (m *Machine) validate(key, arch string) (ps []Problem) {
	if m == nil {
		return nil
	}
	if m.VZ != "" {
		ps = append(ps, OneOf("$."+key+".vz", key+".vz", m.VZ, []string{"yes", "no", "unknown"})...)
	}
	q := m.QEMU
	if q == nil {
		return ps
	}
	key += ".qemu"
	wrong := func(sub, format string, args ...any) {
		ps = append(ps, Problem{"$." + key + "." + sub, key + "." + sub, fmt.Sprintf(format, args...)})
	}
	if strings.Contains(q.Type, "accel=") || strings.ContainsAny(q.Type, " \t\n") {
		wrong("type", "%q is not a machine type; accepted: a type with options and without accel=, which Ingot chooses, like virt,acpi=off", q.Type)
	}
	for _, accel := range slices.Sorted(maps.Keys(q.CPU)) {
		if !slices.Contains(qemu.Accelerators, accel) {
			wrong("cpu."+accel, "%q is not an accelerator; accepted: %s", accel, strings.Join(qemu.Accelerators, ", "))
		} else if cpu := q.CPU[accel]; cpu == "" || strings.ContainsAny(cpu, " \t\n") {
			wrong("cpu."+accel, "%q is not a CPU; accepted: a model with options, like cortex-a72 or max,pauth-impdef=on", cpu)
		}
	}
	ps = append(ps, OneOf("$."+key+".firmware", key+".firmware", cmp.Or(q.Firmware, qemu.EDK2), qemu.Firmwares(arch))...)
	ps = append(ps, OneOf("$."+key+".bus", key+".bus", cmp.Or(q.Bus, qemu.Buses[0]), qemu.Buses)...)
	for _, of := range [][2]string{{"disk", q.Disk}, {"nic", q.NIC}} {
		if sub, d := of[0], of[1]; d != "" && (!device.MatchString(d) || strings.Contains(d, "drive=") || strings.Contains(d, "netdev=")) {
			wrong(sub, "%q is not a device; accepted: a device of QEMU with options and without drive= and netdev=, like virtio-blk-pci", d)
		}
	}
	return ps
}

// consolePhases are the phases for which a console has marks and deadlines.
var consolePhases = []string{"firmware", "loader", "kernel", "init", "login"}

func (c *Console) validate() (ps []Problem) {
	if c == nil {
		return nil
	}
	patterns := func(at, key string, list []string) {
		for i, p := range list {
			if _, err := regexp.Compile(p); err != nil || p == "" {
				ps = append(ps, Problem{fmt.Sprintf("%s[%d]", at, i), key, fmt.Sprintf("%q is not a regular expression; accepted: those of Go (RE2), not empty", p)})
			}
		}
	}
	phases := func(key string, names []string, known []string) {
		slices.Sort(names)
		for _, name := range names {
			ps = append(ps, OneOf("$.console."+key+"."+name, "console."+key, name, known)...)
		}
	}
	phases("marks", slices.Collect(maps.Keys(c.Marks)), consolePhases)
	phases("deadlines", slices.Collect(maps.Keys(c.Deadlines)), append(slices.Clone(consolePhases), "answer"))
	for _, name := range slices.Sorted(maps.Keys(c.Marks)) {
		patterns("$.console.marks."+name, "console.marks."+name, c.Marks[name])
	}
	patterns("$.console.panic", "console.panic", c.Panic)
	patterns("$.console.stuck", "console.stuck", c.Stuck)
	if c.Prompt != "" {
		if _, err := regexp.Compile(c.Prompt); err != nil {
			ps = append(ps, Problem{"$.console.prompt", "console.prompt", fmt.Sprintf("%q is not a regular expression; accepted: those of Go (RE2)", c.Prompt)})
		}
	}
	if c.Reboots < 0 || c.Reboots > maxReboots {
		ps = append(ps, Problem{"$.console.reboots", "console.reboots", fmt.Sprintf("%d is not a number of reboots; accepted: 0 to %d", c.Reboots, maxReboots)})
	}
	if c.Shell != "" {
		ps = append(ps, OneOf("$.console.shell", "console.shell", c.Shell, []string{"sh", "csh", "ksh"})...)
	}
	if c.Login != nil && (c.Login.User == "" || strings.ContainsAny(c.Login.User+c.Login.Password, "\r\n")) {
		ps = append(ps, Problem{"$.console.login", "console.login", "user and password are typed as one line each; accepted: a user, and a password or none"})
	}
	return ps
}

// maxReboots is the highest number of reboots during a first boot; more is taken for a
// loop.
const maxReboots = 5

func (i *Identity) validate() []Problem {
	if i == nil {
		return nil
	}
	ps := OneOf("$.identity.want", "identity.want", i.Want, []string{"buildId", "release", "token"})
	if strings.TrimSpace(i.Run) == "" || strings.ContainsAny(i.Run, "\r\n") {
		ps = append(ps, Problem{"$.identity.run", "identity.run", fmt.Sprintf("%q is not a command; accepted: one line for the guest's shell", i.Run)})
	}
	return ps
}
