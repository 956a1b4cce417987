package tray

import (
	"fmt"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend/vm"
)

// vmsItem returns the item for the user's Lima instances.
func vmsItem(s feed.State) Item {
	running := 0
	for _, v := range s.VMs {
		if v.Status == vm.Running {
			running++
		}
	}
	it := Item{ID: "vms", Label: fmt.Sprintf("VMs · %d of %d running", running, len(s.VMs))}
	for _, v := range s.VMs[:min(mostItems, len(s.VMs))] {
		it.Items = append(it.Items, vmItem(v, s))
	}
	it.Items = append(it.Items, Item{ID: "vms/-", Separator: true}, Item{ID: "vms/all", Label: "Show VMs", Do: Action{Verb: Window, Arg: app.RouteVMs}})
	return it
}

// vmItem returns the item of one instance, with the actions that its state
// allows.
func vmItem(v vm.Instance, s feed.State) Item {
	id := "vm/" + v.Name
	it := Item{ID: id, Label: line(join(name(v.Name), app.VMState(v)))}
	act := func(name, label string, enabled bool, do Action) {
		it.Items = append(it.Items, Item{ID: id + "/" + name, Label: label, Disabled: !enabled, Do: do})
	}
	runs, ready := v.Status == vm.Running, v.Status == vm.Running && v.Phase == vm.Ready
	act("image", "Make Image…", v.Status != vm.Broken && v.Status != vm.Unknown, Action{Verb: Window, Arg: app.RouteImageOf(v.Name)})
	if runs {
		act("stop", "Stop", true, Action{Verb: VMStop, Arg: v.Name})
	} else {
		act("start", "Start", v.Status == vm.Stopped, Action{Verb: VMStart, Arg: v.Name})
	}
	act("shell", "Open Shell", runs, Action{Verb: VMShell, Arg: v.Name})
	// an instance without QEMU must be stopped first; `ingot vm export` reports that
	act("export", "Export", v.Status != vm.Broken, Action{Verb: VMExport, Arg: v.Name})
	here := Item{ID: id + "/build", Label: "Build Here", Disabled: !ready}
	for _, r := range s.Rows[:min(mostItems, len(s.Rows))] {
		_, busy := s.Build(r.Target)
		here.Items = append(here.Items, Item{ID: id + "/build/" + r.Target, Label: name(r.Target), Disabled: !ready || busy, Do: Action{Verb: BuildIn, Target: r.Target, Arg: v.Name}})
	}
	it.Items = append(it.Items, here)
	it.Items = append(it.Items, Item{ID: id + "/-", Separator: true})
	act("is", app.Line(app.VMLine(v)), false, Action{})
	act("show", "Show…", true, Action{Verb: Window, Arg: app.RouteVM(v.Name)})
	return it
}
