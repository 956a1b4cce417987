// Package tray is the model of the menu of the tray icon: its items, when it is
// redrawn, and what a click does.
//
// The menu is a pure function of the feed's state (Render). Each item has an id
// that stays the same after the menu is built again, so a click on it has the
// same effect. A Controller updates a View when the state changes, and passes
// clicks to an Actor. The package does not import systray: app/tray/native
// shows a Menu with it.
package tray

import (
	"cmp"
	"fmt"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend/api"
)

// Icon is the state that the icon shows.
type Icon int

// Icons. If both apply, Working is shown rather than Failed.
const (
	Idle Icon = iota
	Working
	Failed
)

// Item is a line of the menu.
type Item struct {
	ID        string // unique in a menu, the same after it is built again
	Label     string
	Disabled  bool
	Check     bool // has a box
	Checked   bool
	Separator bool
	Do        Action
	Items     []Item
}

// Menu is the whole menu with its icon.
type Menu struct {
	Icon    Icon
	Tooltip string
	Items   []Item
}

// Verb is the kind of an action.
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
	AtLogin       // toggle start at login
	Dismiss       // remove the error's line
	Quit          // end the menu; builds continue
	StopAll       // cancel all builds, then end the menu
)

// Action is the effect of a click.
type Action struct {
	Verb        Verb
	Target, Arg string
}

// Here is the state of the menu that is not part of the feed.
type Here struct {
	Error   string   // of the last action that failed
	Doing   []string // actions in progress that are not builds
	AtLogin bool
	NoLogin bool // this desktop cannot start programs at login
}

// Render returns the menu for a state: what runs, what failed, then a submenu each for
// building, images and VMs. The first level has few lines, however many targets there are.
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
	if failed := failedItems(s); len(failed) > 0 {
		m.separate("failed")
		m.Items = append(m.Items, failed...)
	}
	m.separate("targets")
	m.add(makeItem(s))
	m.add(imagesItem(s))
	if len(s.VMs) > 0 {
		m.add(vmsItem(s))
	}
	m.separate("app")
	m.add(Item{ID: "check", Label: "Check an Image…", Do: Action{Verb: Window, Arg: app.RouteCheck}})
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

// buildItem returns the item of a running or waiting build. A build can only be
// cancelled while an owner is connected.
func buildItem(b feed.Build, live bool) Item {
	id := "build/" + b.ID
	return Item{ID: id, Label: app.Line(buildLine(b)), Items: []Item{
		{ID: id + "/says", Label: cmp.Or(app.Line(b.Msg), "build "+b.ID), Disabled: true},
		{ID: id + "/watch", Label: "Watch…", Do: Action{Verb: Window, Target: b.Target, Arg: app.RouteOf(b.Target)}},
		{ID: id + "/log", Label: "View Log…", Do: Action{Verb: Window, Target: b.Target, Arg: app.RouteBuild(b.Target, b.ID)}},
		{ID: id + "/cancel", Label: "Cancel Build", Disabled: !live, Do: Action{Verb: Cancel, Target: b.Target, Arg: b.ID}},
	}}
}

func buildLine(b feed.Build) string {
	if b.Started.IsZero() && b.Step == "" {
		return join(name(b.Target), "waits")
	}
	percent := ""
	if p, ok := b.Percent(); ok {
		percent = fmt.Sprintf("%d %%", p)
	}
	return join(name(b.Target), cmp.Or(b.Step, "begins"), percent, left(b.ETA))
}

// quitItem asks for confirmation only if builds are running.
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

// counts are the numbers in the summary.
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
		if r.Boots.State == api.Passed {
			c.proven++
		}
		if _, failed := app.CellIn(r, api.Failed); failed {
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
	return cmp.Or(join(part(c.building, "building"), part(c.waiting, "waiting"), part(c.proven, "ready"), part(c.failed, "failed")), "no image yet")
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

// summary returns the first line: the state, or why it is unknown.
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
