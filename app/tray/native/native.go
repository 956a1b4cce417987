// Package native shows a tray.Menu with fyne.io/systray: StatusNotifierItem and
// dbusmenu on Linux, NSStatusItem on macOS. It is the only package that imports
// systray, which needs cgo on darwin.
package native

import (
	"runtime"
	"strings"
	"sync"

	"fyne.io/systray"

	"ingot/app/tray"
	"ingot/resources"
)

// Tray is the single icon of this process. Each item has a goroutine, which
// ends with the item.
type Tray struct {
	clicks chan string
	closed chan struct{}
	items  map[string]*systray.MenuItem
	waits  sync.WaitGroup
	over   chan struct{}
}

// New returns a tray that Run shows.
func New() *Tray {
	return &Tray{clicks: make(chan string), closed: make(chan struct{}, 1), over: make(chan struct{})}
}

// Run shows the icon and calls ready in a new goroutine when items can be
// created; once ready has returned, other programs can read the menu. Run
// blocks until Quit. On macOS it must be called on the main thread.
func (t *Tray) Run(ready func()) {
	systray.Run(func() {
		systray.SetTitle(name)
		ready()
	}, func() {})
	t.waits.Wait()
}

// name is the tray item's Id and title on Linux. On macOS a title would be
// shown beside the icon.
var name = map[bool]string{false: "Ingot"}[runtime.GOOS == "darwin"]

// Quit ends Run. No other method may be called afterwards.
func (t *Tray) Quit() {
	close(t.over)
	systray.ResetMenu() // ends the goroutines of the items, while there still is a bus
	systray.Quit()
}

// Build replaces the menu.
func (t *Tray) Build(m tray.Menu) {
	if t.items != nil {
		systray.ResetMenu()
	}
	t.items = map[string]*systray.MenuItem{}
	for _, i := range m.Items {
		switch {
		case i.Separator:
			systray.AddSeparator()
		case i.Check:
			t.watch(i, systray.AddMenuItemCheckbox(label(i.Label), "", i.Checked))
		default:
			t.watch(i, systray.AddMenuItem(label(i.Label), ""))
		}
	}
}

// watch registers an item, creates the items below it, and forwards its clicks.
// systray drops a click that no goroutine waits for, so each item has one.
func (t *Tray) watch(i tray.Item, m *systray.MenuItem) {
	t.items[i.ID] = m
	if i.Disabled {
		m.Disable()
	}
	for _, sub := range i.Items {
		switch {
		case sub.Separator:
			m.AddSeparator()
		case sub.Check:
			t.watch(sub, m.AddSubMenuItemCheckbox(label(sub.Label), "", sub.Checked))
		default:
			t.watch(sub, m.AddSubMenuItem(label(sub.Label), ""))
		}
	}
	if len(i.Items) > 0 {
		return
	}
	t.waits.Go(func() {
		for range m.ClickedCh {
			select {
			case t.clicks <- i.ID:
			case <-t.over:
			}
		}
	})
}

// Change changes items in place.
func (t *Tray) Change(items []tray.Item) {
	for _, i := range items {
		m, ok := t.items[i.ID]
		if !ok {
			continue
		}
		m.SetTitle(label(i.Label))
		if i.Disabled != m.Disabled() {
			if i.Disabled {
				m.Disable()
			} else {
				m.Enable()
			}
		}
		if i.Check && i.Checked != m.Checked() {
			if i.Checked {
				m.Check()
			} else {
				m.Uncheck()
			}
		}
	}
}

// Look sets icon and tooltip.
func (t *Tray) Look(i tray.Icon, tip string) {
	state := map[tray.Icon]string{tray.Idle: "idle", tray.Working: "working", tray.Failed: "failed"}[i]
	systray.SetTemplateIcon(png("tray-"+state+"-template"), png("tray-"+state))
	systray.SetTooltip(tip)
}

func png(name string) []byte {
	b, err := resources.FS.ReadFile("icons/" + name + ".png")
	if err != nil {
		panic(err) // it is embedded; a test of package resources checks that
	}
	return b
}

// Clicks returns a channel of the IDs of clicked items.
func (t *Tray) Clicks() <-chan string { return t.clicks }

// Opened returns a channel that receives a value when the menu is opened.
func (t *Tray) Opened() <-chan struct{} { return systray.TrayOpenedCh }

// Closed returns a channel that receives a value when the menu is closed, on
// platforms that report it.
func (t *Tray) Closed() <-chan struct{} { return t.closed }

// MenuClosed reports that the menu was closed. It does not block.
func (t *Tray) MenuClosed() {
	select {
	case t.closed <- struct{}{}:
	default:
	}
}

// label doubles underscores: in a dbusmenu label an underscore marks the
// following character as the access key (com.canonical.dbusmenu, property
// label).
func label(s string) string {
	if runtime.GOOS == "linux" {
		return strings.ReplaceAll(s, "_", "__")
	}
	return s
}
