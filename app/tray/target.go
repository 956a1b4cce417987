package tray

import (
	"cmp"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend/api"
)

// targetItem returns the item of a target with its cells and actions. An action
// that needs an owner stays enabled without one, since a submission starts it.
func targetItem(r api.Row, s feed.State) Item {
	id := "target/" + r.Target
	it := Item{ID: id, Label: app.Line(join(r.Target, app.Verdict(r)))}
	if r.Title != "" {
		it.Items = append(it.Items, Item{ID: id + "/title", Label: app.Line(r.Title), Disabled: true})
	}
	ready := true
	for _, c := range r.Cells() {
		label := cellLine(c.Name, c.Cell)
		if c.Name == "boots" && c.Cell.State == api.Passed {
			label = join(label, r.Machines())
		}
		it.Items = append(it.Items, Item{ID: id + "/" + c.Name, Label: app.Line(label), Disabled: true})
		ready = ready && c.Cell.State == api.Passed
	}
	broken := r.Configured.State == api.Failed && !staleLock(r)
	exported := r.Exported.State == api.Passed
	act := func(name, label string, enabled bool, do Action) {
		it.Items = append(it.Items, Item{ID: id + "/" + name, Label: label, Disabled: !enabled, Do: do})
	}
	it.Items = append(it.Items, Item{ID: id + "/-", Separator: true})
	if b, ok := activeOf(s, r.Target); ok {
		act("cancel", "Cancel Build", s.Live, Action{Verb: Cancel, Target: r.Target, Arg: b.ID})
	} else {
		act("build", "Build", !broken, Action{Verb: Build, Target: r.Target})
	}
	act("boot", "Boot Test", exported, Action{Verb: BootTest, Target: r.Target})
	export := Item{ID: id + "/export", Label: "Export", Disabled: !exported}
	for _, f := range api.Formats {
		export.Items = append(export.Items, Item{ID: id + "/export/" + f, Label: f, Disabled: !exported, Do: Action{Verb: Export, Target: r.Target, Arg: f}})
	}
	it.Items = append(it.Items, export)
	act("publish", "Publish", exported && r.Boots.State == api.Passed, Action{Verb: Publish, Target: r.Target})
	act("show", "Show Artifact", exported, Action{Verb: Window, Target: r.Target, Arg: app.RouteArtifact(r.Target)})
	if !ready {
		act("why", "Why Not Ready…", true, Action{Verb: Window, Target: r.Target, Arg: app.RouteRow(r.Target)})
	}
	return it
}

// staleLock reports whether the recipe is valid and only its lock must be
// renewed, which a build does.
func staleLock(r api.Row) bool { return r.Configured.Cause == "config.lock-stale" }

func activeOf(s feed.State, target string) (feed.Build, bool) {
	for _, b := range s.Builds {
		if b.Target == target {
			return b, true
		}
	}
	return feed.Build{}, false
}

// marks precede the names of cells.
var marks = map[api.State]string{api.Unknown: "–", api.Running: "…", api.Passed: "✓", api.Failed: "✗", api.Cancelled: "⊘", api.Stale: "≠"}

// cellLine returns a cell as text.
func cellLine(name string, c api.Cell) string {
	head := marks[c.State] + " " + name
	switch c.State {
	case api.Passed:
		if c.Note != "" {
			return head + " (" + c.Note + ")"
		}
		return head
	case api.Unknown:
		return head + ": not yet"
	case api.Running:
		return head + ": running"
	}
	return head + ": " + cmp.Or(app.ShortPath(c.Message), c.Cause, c.State.String())
}
