package tray

import (
	"fmt"
	"slices"
	"strings"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend/api"
)

// Bounds of the menu's lists; what is beyond them is in the window.
const (
	mostFailed = 3
	mostItems  = 12
)

// failedItems are the targets that failed and are not being built, with the way to the
// reason.
func failedItems(s feed.State) (list []Item) {
	more := 0
	for _, r := range s.Rows {
		if _, busy := s.Build(r.Target); busy || app.GroupOf(r) != app.GroupFailed {
			continue
		}
		if len(list) == mostFailed {
			more++
			continue
		}
		id := "failed/" + r.Target
		list = append(list, Item{ID: id, Label: line("✗ " + name(r.Target) + ": " + app.Sentence(r)), Items: []Item{
			{ID: id + "/why", Label: "See Why and Fix…", Do: Action{Verb: Window, Target: r.Target, Arg: app.RouteOf(r.Target)}},
			{ID: id + "/again", Label: "Try Again", Disabled: broken(r), Do: Action{Verb: Build, Target: r.Target}},
		}})
	}
	if more > 0 {
		list = append(list, Item{ID: "failed", Label: fmt.Sprintf("%d more failed…", more), Do: Action{Verb: Window, Arg: app.RouteHome}})
	}
	return list
}

// makeItem lists the targets, those first that are not built; a click builds.
func makeItem(s feed.State) Item {
	it := Item{ID: "make", Label: "Build", Disabled: len(s.Rows) == 0}
	rows := slices.Clone(s.Rows)
	order := map[app.Group]int{app.GroupNew: 0, app.GroupOld: 1, app.GroupFailed: 2, app.GroupReady: 3, app.GroupBuilding: 4}
	rank := func(r api.Row) int {
		if broken(r) {
			return len(order)
		}
		return order[app.GroupOf(r)]
	}
	slices.SortStableFunc(rows, func(a, b api.Row) int { return rank(a) - rank(b) })
	for _, r := range rows[:min(mostItems, len(rows))] {
		_, busy := s.Build(r.Target)
		it.Items = append(it.Items, Item{ID: "make/" + r.Target, Label: line(join(name(r.Target), app.Verdict(r))), Disabled: busy || broken(r), Do: Action{Verb: Build, Target: r.Target}})
	}
	if len(rows) > mostItems {
		it.Items = append(it.Items, Item{ID: "make/-", Separator: true}, moreItem("make/more", app.RouteHome))
	}
	return it
}

func moreItem(id, route string) Item {
	return Item{ID: id, Label: "More in Ingot…", Do: Action{Verb: Window, Arg: route}}
}

// imagesItem lists the targets that have an image, with what can be done with each.
func imagesItem(s feed.State) Item {
	it := Item{ID: "images", Label: "Images"}
	more := false
	for _, r := range s.Rows {
		if r.Exported.State != api.Passed && r.Exported.State != api.Stale {
			continue
		}
		if more = len(it.Items) == mostItems; more {
			break
		}
		it.Items = append(it.Items, imageItem(r, s))
	}
	if len(it.Items) == 0 {
		return Item{ID: "images", Label: "Images: none yet", Disabled: true}
	}
	it.Items = append(it.Items, Item{ID: "images/-", Separator: true}, Item{ID: "images/all", Label: "Show Images", Do: Action{Verb: Window, Arg: app.RouteArtifacts}})
	return it
}

// imageItem returns the item of a target with an image. An action that needs an owner
// stays enabled without one, since a submission starts it.
func imageItem(r api.Row, s feed.State) Item {
	id := "target/" + r.Target
	it := Item{ID: id, Label: line(join(marks[r.Boots.State]+" "+name(r.Target), app.Verdict(r)))}
	exported := r.Exported.State == api.Passed
	_, busy := s.Build(r.Target)
	act := func(name, label string, enabled bool, do Action) {
		it.Items = append(it.Items, Item{ID: id + "/" + name, Label: label, Disabled: !enabled, Do: do})
	}
	act("show", "Show Image", true, Action{Verb: Window, Target: r.Target, Arg: app.RouteArtifact(r.Target)})
	export := Item{ID: id + "/export", Label: "Save to Downloads As", Disabled: !exported}
	for _, f := range api.Formats {
		export.Items = append(export.Items, Item{ID: id + "/export/" + f, Label: f, Disabled: !exported, Do: Action{Verb: Export, Target: r.Target, Arg: f}})
	}
	it.Items = append(it.Items, export)
	act("publish", "Publish", exported && !busy && r.Boots.State == api.Passed, Action{Verb: Publish, Target: r.Target})
	act("boot", "Boot Test", exported && !busy, Action{Verb: BootTest, Target: r.Target})
	act("build", "Build Again", !busy && !broken(r), Action{Verb: Build, Target: r.Target})
	act("details", "Details…", true, Action{Verb: Window, Target: r.Target, Arg: app.RouteOf(r.Target)})
	it.Items = append(it.Items, Item{ID: id + "/-", Separator: true})
	boots := app.Sentence(r)
	if r.Boots.State == api.Passed {
		boots = join(boots, r.Machines())
	}
	act("is", app.Line(boots), false, Action{})
	act("cells", cellsLine(r), false, Action{})
	return it
}

// broken reports whether a target's recipe cannot be used.
func broken(r api.Row) bool { return r.Configured.State == api.Failed && !staleLock(r) }

// staleLock reports whether the recipe is valid and only its lock must be
// renewed, which a build does.
func staleLock(r api.Row) bool { return r.Configured.Cause == "config.lock-stale" }

// marks precede the names of cells.
var marks = map[api.State]string{api.Unknown: "–", api.Running: "…", api.Passed: "✓", api.Failed: "✗", api.Cancelled: "⊘", api.Stale: "≠"}

// cellsLine returns all cells in one line: a mark before the name of each.
func cellsLine(r api.Row) string {
	var out []string
	for _, c := range r.Cells() {
		out = append(out, marks[c.Cell.State]+" "+api.CellTitle(c.Name))
	}
	return strings.Join(out, "  ")
}
