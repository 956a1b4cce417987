// Package native shows a tray.Menu with fyne.io/systray: StatusNotifierItem and
// dbusmenu on Linux, NSStatusItem on macOS. It is the one place that imports
// systray, whose darwin half needs cgo.
package native

import (
	"runtime"
	"strings"
	"sync"

	"fyne.io/systray"

	"ingot/app/tray"
	"ingot/resources"
)

// Tray is the one icon of this process. Its goroutines end with the items that
// they listen to.
type Tray struct {
	clicks chan string
	closed chan struct{}
	items  map[string]*systray.MenuItem
	waits  sync.WaitGroup
	over   chan struct{}
}

// New makes a tray that Run shows.
func New() *Tray {
	return &Tray{clicks: make(chan string), closed: make(chan struct{}, 1), over: make(chan struct{})}
}

// Run shows the icon and calls ready when items can be made, in a goroutine of
// its own; the menu can be read by others from when ready returns. Run blocks
// until Quit, and on macOS must be called by the main thread.
func (t *Tray) Run(ready func()) {
	systray.Run(func() {
		systray.SetTitle(name)
		ready()
	}, func() {})
	t.waits.Wait()
}

// name is the tray item's Id and title on Linux. On macOS a title would stand
// beside the icon.
var name = map[bool]string{false: "Ingot"}[runtime.GOOS == "darwin"]

// Quit ends Run. No other method may be called after it.
func (t *Tray) Quit() {
	close(t.over)
	systray.ResetMenu() // ends the goroutines of the items, while there still is a bus
	systray.Quit()
}

// Build shows another menu.
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

// watch keeps an item, makes those below it, and hands on its clicks. systray
// drops a click for which nobody waits, so each item has a goroutine.
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
		panic(err) // it is embedded: resources' test looks for it
	}
	return b
}

// Clicks gives the IDs of clicked items.
func (t *Tray) Clicks() <-chan string { return t.clicks }

// Opened gives a value when the menu is opened.
func (t *Tray) Opened() <-chan struct{} { return systray.TrayOpenedCh }

// Closed gives a value when the menu is closed, where the platform tells.
func (t *Tray) Closed() <-chan struct{} { return t.closed }

// MenuClosed tells that the menu is closed; it does not block.
func (t *Tray) MenuClosed() {
	select {
	case t.closed <- struct{}{}:
	default:
	}
}

// label makes an underscore one: in a dbusmenu label it marks the key of the
// character behind it (com.canonical.dbusmenu, property label).
func label(s string) string {
	if runtime.GOOS == "linux" {
		return strings.ReplaceAll(s, "_", "__")
	}
	return s
}
