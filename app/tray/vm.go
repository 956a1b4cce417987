package tray

import (
	"fmt"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend"
)

// vmsItem is the user's Lima instances.
func vmsItem(s feed.State) Item {
	running := 0
	for _, v := range s.VMs {
		if v.Status == backend.VMRunning {
			running++
		}
	}
	it := Item{ID: "vms", Label: fmt.Sprintf("VMs · %d of %d running", running, len(s.VMs))}
	for _, v := range s.VMs {
		it.Items = append(it.Items, vmItem(v, s))
	}
	it.Items = append(it.Items, Item{ID: "vms/-", Separator: true}, Item{ID: "vms/all", Label: "Show VMs", Do: Action{Verb: Window, Arg: app.RouteVMs}})
	return it
}

// vmItem is one of them with what can be done with it as it is.
func vmItem(v backend.VM, s feed.State) Item {
	id := "vm/" + v.Name
	it := Item{ID: id, Label: app.Line(join(v.Name, app.VMState(v)))}
	act := func(name, label string, enabled bool, do Action) {
		it.Items = append(it.Items, Item{ID: id + "/" + name, Label: label, Disabled: !enabled, Do: do})
	}
	runs, ready := v.Status == backend.VMRunning, v.Status == backend.VMRunning && v.Phase == backend.VMReady
	act("is", app.Line(app.VMLine(v)), false, Action{})
	if runs {
		act("stop", "Stop", true, Action{Verb: VMStop, Arg: v.Name})
	} else {
		act("start", "Start", v.Status == backend.VMStopped, Action{Verb: VMStart, Arg: v.Name})
	}
	act("shell", "Open Shell", runs, Action{Verb: VMShell, Arg: v.Name})
	// one that runs without QEMU has to be stopped for it: `ingot vm export` says so
	act("export", "Export", v.Status != backend.VMBroken, Action{Verb: VMExport, Arg: v.Name})
	here := Item{ID: id + "/build", Label: "Build Here", Disabled: !ready}
	for _, r := range s.Rows {
		_, busy := activeOf(s, r.Target)
		here.Items = append(here.Items, Item{ID: id + "/build/" + r.Target, Label: app.Line(r.Target), Disabled: !ready || busy, Do: Action{Verb: BuildIn, Target: r.Target, Arg: v.Name}})
	}
	it.Items = append(it.Items, here)
	act("show", "Show…", true, Action{Verb: Window, Arg: app.RouteVM(v.Name)})
	return it
}
