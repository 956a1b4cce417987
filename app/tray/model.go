// Package tray is the menu behind the icon: what it says, when it changes, and
// what a click does.
//
// The menu is a pure function of what the feed knows (Render); it names each
// item by what it stands for, so that a click means the same after a rebuild.
// A Controller redraws it when news come, and hands clicks to an Actor. The
// package knows nothing of systray: app/tray/native shows a Menu with it.
package tray

import (
	"cmp"
	"fmt"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend"
)

// Icon is what the icon says.
type Icon int

// Icons. Working wins over Failed: it is what changes next.
const (
	Idle Icon = iota
	Working
	Failed
)

// Item is a line of the menu.
type Item struct {
	ID        string // what it stands for; unique in a menu, the same after a rebuild
	Label     string
	Disabled  bool
	Check     bool // has a box
	Checked   bool
	Separator bool
	Do        Action
	Items     []Item
}

// Menu is all that is shown.
type Menu struct {
	Icon    Icon
	Tooltip string
	Items   []Item
}

// Verb is what an action does.
type Verb int

// Verbs of actions.
const (
	Nothing  Verb = iota
	Build         // Target: all steps
	BootTest      // Target: boot the artifact again
	Publish       // Target: publish the proven artifact again
	Export        // Target, Arg: write it in the format Arg
	Cancel        // Arg: a build's id
	Window        // Arg: a route
	VMStart       // Arg: a VM's name
	VMStop        // Arg: a VM's name
	VMShell       // Arg: a VM's name; in a terminal
	VMExport      // Arg: a VM's name
	BuildIn       // Target, Arg: all steps, kernel and image in the VM Arg
	AtLogin       // turn starting at login on or off
	Dismiss       // take the error's line away
	Quit          // end the menu; builds go on
	StopAll       // cancel all builds, then end the menu
)

// Action is what a click means.
type Action struct {
	Verb        Verb
	Target, Arg string
}

// Here is what the menu shows beside the feed's state.
type Here struct {
	Error   string   // of the last action that failed
	Doing   []string // actions under way that are no builds
	AtLogin bool
	NoLogin bool // this desktop cannot start programs at login
}

// Render makes the menu.
func Render(s feed.State, h Here) Menu {
	c := count(s)
	m := Menu{Icon: c.icon(s), Tooltip: "Ingot: " + summary(s, c)}
	m.add(Item{ID: "summary", Label: app.Line(summary(s, c)), Disabled: true})
	if !s.Live && len(s.Rows) > 0 {
		m.add(Item{ID: "last", Label: app.Line("last known: " + c.String()), Disabled: true})
	}
	if h.Error != "" {
		m.add(Item{ID: "error", Label: app.Line("✗ " + h.Error), Do: Action{Verb: Dismiss}})
	}
	for i, d := range h.Doing {
		m.add(Item{ID: fmt.Sprintf("doing/%d", i), Label: app.Line(d), Disabled: true})
	}
	if len(s.Builds) > 0 {
		m.separate("builds")
	}
	for _, b := range s.Builds {
		m.add(buildItem(b, s.Live))
	}
	m.separate("targets")
	for _, r := range s.Rows {
		m.add(targetItem(r, s))
	}
	if len(s.VMs) > 0 {
		m.separate("vms")
		m.add(vmsItem(s))
	}
	m.separate("app")
	m.add(Item{ID: "open", Label: "Open Ingot", Do: Action{Verb: Window, Arg: app.RouteLast}})
	m.add(Item{ID: "settings", Label: "Settings…", Do: Action{Verb: Window, Arg: app.RouteSettings}})
	if !h.NoLogin {
		m.add(Item{ID: "login", Label: "Start at Login", Check: true, Checked: h.AtLogin, Do: Action{Verb: AtLogin}})
	}
	m.add(quitItem(len(s.Builds)))
	return m
}

func (m *Menu) add(i Item) { m.Items = append(m.Items, i) }

func (m *Menu) separate(id string) { m.add(Item{ID: "-" + id, Separator: true}) }

// buildItem is a build that runs or waits. A build can be cancelled only
// through an owner.
func buildItem(b feed.Build, live bool) Item {
	id := "build/" + b.ID
	return Item{ID: id, Label: app.Line(buildLine(b)), Items: []Item{
		{ID: id + "/says", Label: cmp.Or(app.Line(b.Msg), "build "+b.ID), Disabled: true},
		{ID: id + "/log", Label: "View Log…", Do: Action{Verb: Window, Target: b.Target, Arg: app.RouteBuild(b.Target, b.ID)}},
		{ID: id + "/cancel", Label: "Cancel Build", Disabled: !live, Do: Action{Verb: Cancel, Target: b.Target, Arg: b.ID}},
	}}
}

func buildLine(b feed.Build) string {
	if b.Started.IsZero() && b.Step == "" {
		return join(b.Target, "waits")
	}
	percent := ""
	if p, ok := b.Percent(); ok {
		percent = fmt.Sprintf("%d %%", p)
	}
	return join(b.Target, cmp.Or(b.Step, "begins"), percent, left(b.ETA))
}

// quitItem asks only when there is something to ask.
func quitItem(builds int) Item {
	if builds == 0 {
		return Item{ID: "quit", Label: "Quit Ingot", Do: Action{Verb: Quit}}
	}
	are, them := "1 build runs", "it"
	if builds > 1 {
		are, them = fmt.Sprintf("%d builds run", builds), "them"
	}
	return Item{ID: "quit", Label: "Quit Ingot: " + are, Items: []Item{
		{ID: "quit/leave", Label: "Quit and let " + them + " run on", Do: Action{Verb: Quit}},
		{ID: "quit/cancel", Label: "Cancel " + them + " and quit", Do: Action{Verb: StopAll}},
		{ID: "quit/stay", Label: "Stay"},
	}}
}

// counts are what the summary says.
type counts struct{ building, waiting, proven, failed int }

func count(s feed.State) counts {
	var c counts
	for _, b := range s.Builds {
		if b.Started.IsZero() && b.Step == "" {
			c.waiting++
		} else {
			c.building++
		}
	}
	for _, r := range s.Rows {
		if r.Boots.State == backend.Passed {
			c.proven++
		}
		if _, failed := app.CellIn(r, backend.Failed); failed {
			c.failed++
		}
	}
	return c
}

func (c counts) String() string {
	part := func(n int, what string) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("%d %s", n, what)
	}
	return cmp.Or(join(part(c.building, "building"), part(c.waiting, "waiting"), part(c.proven, "proven"), part(c.failed, "failed")), "nothing proven yet")
}

func (c counts) icon(s feed.State) Icon {
	switch {
	case c.building+c.waiting > 0 && s.Live:
		return Working
	case c.failed > 0 || !s.Live && s.Problem != "":
		return Failed
	}
	return Idle
}

// summary is the first line: what holds, or why that is not known.
func summary(s feed.State, c counts) string {
	switch {
	case s.Live && len(s.Rows) == 0:
		return "no targets"
	case s.Live:
		return c.String()
	case s.Problem != "":
		return "Not connected: " + s.Problem
	}
	return "Connecting…"
}
