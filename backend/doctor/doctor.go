// Package doctor reports what is missing on this computer to build and prove
// targets, and how to install it. It also writes the support bundle.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"ingot/backend"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/family/debian"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// Check is one line of the report.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Why     string `json:"why"`               // what it is needed for
	Install string `json:"install,omitempty"` // the command, or instructions where there is none
	pkg     string
	guest   string // the guest that lacks it; "" is this computer
	forge   bool   // the forge VM has to be made
}

// Report is the result of Examine.
type Report struct {
	Checks  []Check  `json:"checks"`
	Install []string `json:"install,omitempty"` // commands that install everything that can be installed here
	// InGuest are the commands that install what the guest named Guest lacks.
	InGuest []string `json:"installInGuest,omitempty"`
	Guest   string   `json:"guest,omitempty"`
}

// OK reports whether nothing is missing.
func (r Report) OK() bool { return len(r.Missing()) == 0 }

// Missing returns the checks that failed.
func (r Report) Missing() []Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c Check) bool { return c.OK })
}

// Examine checks what building and proving the named targets needs here;
// without names, what all targets need.
func Examine(ctx context.Context, b *backend.Backend, names ...string) (Report, error) {
	var rep Report
	mac := runtime.GOOS == "darwin"
	for _, n := range names {
		if _, err := b.Targets.Get(n); target.IsUnknown(err) {
			return rep, err
		}
	}
	if len(names) == 0 {
		names = b.Targets.Names()
	}
	for _, n := range names {
		r, err := b.Targets.Get(n)
		if err != nil {
			continue // `ingot target validate` reports the error
		}
		rep.add(qemuChecks(ctx, r.Arch, mac)...)
		if !r.HasKernel() {
			continue // its steps run in a machine of its own
		}
		r = r.KernelRecipe()
		composer, err := all.Composer(r)
		if err != nil {
			continue // its strategy is not implemented yet
		}
		if checks, running := forgeChecks(ctx, b); len(checks) > 0 {
			rep.add(checks...)
			if !running {
				continue
			}
		}
		g, err := b.OpenGuest(ctx, func(string) {})
		if err != nil {
			rep.add(Check{Name: "guest", Why: "the kernel and image steps run in it", Install: err.Error()})
			continue
		}
		facts, err := g.Facts(ctx)
		if err == nil {
			var missing []family.Tool
			missing, err = composer.MissingTools(ctx, g, facts, r)
			checks := guestChecks(r.Name, facts, missing)
			if g.Name() != "local" {
				rep.Guest = g.Name()
				for i := range checks {
					checks[i].guest = g.Name()
				}
			}
			rep.add(checks...)
		}
		if err := errors.Join(err, g.Close()); err != nil {
			rep.add(Check{Name: "guest", Why: "the kernel and image steps run in it", Install: err.Error()})
		}
	}
	free, err := home.FreeSpace(b.Home.Data)
	if err != nil {
		return rep, err
	}
	rep.add(Check{Name: "disk space", OK: free > 12<<30, Why: fmt.Sprintf("a build takes up to 12 GiB; %.1f GiB are free in %s", float64(free)/(1<<30), b.Home.Data), Install: "free some space, or set INGOT_HOME to a folder on another disk"})
	if mac {
		rep.Install = macCommands(rep.lacking(""))
	} else {
		rep.Install = linuxCommands(rep.lacking(""))
	}
	if rep.Guest != "" {
		rep.InGuest = linuxCommands(rep.lacking(rep.Guest))
	}
	return rep, nil
}

// lacking returns the failed checks of one place.
func (r Report) lacking(guest string) []Check {
	return slices.DeleteFunc(r.Missing(), func(c Check) bool { return c.guest != guest })
}

// add adds the checks whose names are not in the report yet.
func (r *Report) add(checks ...Check) {
next:
	for _, c := range checks {
		for _, have := range r.Checks {
			if have.Name == c.Name {
				continue next
			}
		}
		r.Checks = append(r.Checks, c)
	}
}

func qemuChecks(ctx context.Context, arch string, mac bool) []Check {
	deb := map[string][2]string{"arm64": {"qemu-system-arm", "qemu-efi-aarch64"}, "amd64": {"qemu-system-x86", "ovmf"}}[arch]
	if mac {
		deb = [2]string{"qemu", "qemu"}
	}
	_, err := home.LookTool(qemu.Binary(arch))
	prog := Check{Name: qemu.Binary(arch), OK: err == nil, Why: "boots what was built: the proof", pkg: deb[0]}
	_, err = qemu.FindFirmware(arch, qemu.FileExists)
	fw := Check{Name: "UEFI firmware for " + arch, OK: err == nil, Why: "starts the boot loader in the proof", pkg: deb[1]}
	return []Check{prog, fw}
}

func guestChecks(name string, f guest.Facts, missing []family.Tool) []Check {
	if len(missing) == 0 {
		return []Check{{Name: "tools of the kernel and image steps for " + name, OK: true, Why: fmt.Sprintf("%s %s, %d CPUs", f.DistroID, f.DistroVersion, f.CPUs)}}
	}
	var out []Check
	for _, t := range missing {
		c := Check{Name: t.Name, Why: t.Why, pkg: t.Package}
		if t.Package == "" && !strings.HasPrefix(t.Name, family.SubIDs) {
			c.Install = t.Why
		}
		out = append(out, c)
	}
	return out
}

// linuxCommands returns the commands that install what this computer or a guest lacks,
// as root on Debian or Ubuntu.
func linuxCommands(checks []Check) []string {
	var tools []family.Tool
	for _, c := range checks {
		tools = append(tools, family.Tool{Name: c.Name, Package: c.pkg})
	}
	return debian.Family{}.InstallCommands(tools)
}

// macCommands returns the command that installs what a Mac lacks: Homebrew's, or that of
// MacPorts where only that is installed. The packages have the same names in both.
func macCommands(checks []Check) []string {
	names := map[string]bool{}
	for _, c := range checks {
		if c.pkg != "" {
			names[c.pkg] = true
		}
	}
	if len(names) == 0 {
		return nil
	}
	manager := "brew"
	if _, err := home.LookTool("brew"); err != nil {
		if _, err := home.LookTool("port"); err == nil {
			manager = "port"
		}
	}
	return []string{manager + " install " + strings.Join(slices.Sorted(maps.Keys(names)), " ")}
}
