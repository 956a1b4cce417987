//go:build e2e

package app

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	watcherName = "org.kde.StatusNotifierWatcher"
	menuIface   = "com.canonical.dbusmenu"
	limit       = time.Minute     // a machine may do much besides
	patience    = 6 * time.Second // of a person who then tries again
)

// host is a StatusNotifierHost: it takes icons, reads their menus and clicks,
// as a panel does (freedesktop.org's StatusNotifierItem; com.canonical.dbusmenu).
type host struct {
	conn  *dbus.Conn
	icons chan icon

	mu      sync.Mutex
	updates []update
	changed chan struct{}
}

// icon is one that has registered, and when.
type icon struct {
	sender string
	path   dbus.ObjectPath
	at     time.Time
}

// update is an item's new label, told without a new layout.
type update struct {
	id    int32
	label string
}

type watcher struct{ h *host }

// RegisterStatusNotifierItem is called by icons.
func (w watcher) RegisterStatusNotifierItem(path string, sender dbus.Sender) *dbus.Error {
	w.h.icons <- icon{string(sender), dbus.ObjectPath(path), time.Now()}
	return nil
}

// startHost begins to show icons until stop is called.
func startHost(t *testing.T) *host {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{conn: conn, icons: make(chan icon, 8), changed: make(chan struct{}, 1)}
	signals := make(chan *dbus.Signal, 1024)
	conn.Signal(signals)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(menuIface), dbus.WithMatchMember("ItemsPropertiesUpdated")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := range signals {
			h.take(s)
		}
	}()
	if err := conn.Export(watcher{h}, "/StatusNotifierWatcher", watcherName); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.RequestName(watcherName, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("%v %v", r, err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return h
}

func (h *host) take(s *dbus.Signal) {
	var changed []struct {
		ID    int32
		Props map[string]dbus.Variant
	}
	if s.Name != menuIface+".ItemsPropertiesUpdated" || dbus.Store(s.Body[:1], &changed) != nil {
		return
	}
	h.mu.Lock()
	for _, c := range changed {
		label, _ := c.Props["label"].Value().(string)
		h.updates = append(h.updates, update{c.ID, label})
	}
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *host) icon(t *testing.T) icon {
	t.Helper()
	select {
	case i := <-h.icons:
		return i
	case <-time.After(limit):
		t.Fatal("no icon came")
		return icon{}
	}
}

// item is a line of a menu as the bus has it.
type item struct {
	ID    int32
	Props map[string]dbus.Variant
	Kids  []dbus.Variant
}

func (i item) label() string {
	s, _ := i.Props["label"].Value().(string)
	return strings.ReplaceAll(s, "__", "_")
}

func (i item) enabled() bool {
	on, given := i.Props["enabled"].Value().(bool)
	return on || !given
}

func (i item) items(t *testing.T) []item {
	var out []item
	for _, v := range i.Kids {
		var k item
		if err := dbus.Store([]any{v.Value()}, &k); err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
	}
	return out
}

// menu reads an icon's menu.
func (h *host) menu(t *testing.T, i icon) item {
	t.Helper()
	var rev uint32
	var root item
	err := h.conn.Object(i.sender, i.path+"/menu").Call(menuIface+".GetLayout", 0, int32(0), int32(-1), []string{}).Store(&rev, &root)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// find follows a path of labels, each the beginning of one.
func find(t *testing.T, root item, path ...string) (item, bool) {
	for _, label := range path {
		found := false
		for _, k := range root.items(t) {
			if strings.HasPrefix(k.label(), label) {
				root, found = k, true
				break
			}
		}
		if !found {
			return item{}, false
		}
	}
	return root, true
}

// await reads the menu until it has the path. The first layout after a rebuild
// is cut at depth one, so it asks again after a while.
func (h *host) await(t *testing.T, i icon, path ...string) item {
	t.Helper()
	return h.awaitThat(t, i, func(item) bool { return true }, path...)
}

func (h *host) awaitThat(t *testing.T, i icon, fits func(item) bool, path ...string) item {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		root := h.menu(t, i)
		if k, ok := find(t, root, path...); ok && fits(k) {
			return k
		}
		if time.Now().After(end) {
			t.Fatalf("%q did not come; the menu is\n%s", path, show(t, root, ""))
		}
		select {
		case <-h.changed:
		case <-time.After(170 * time.Millisecond):
		}
	}
}

// click clicks an item.
func (h *host) click(t *testing.T, i icon, it item) {
	t.Helper()
	h.event(t, i, it.ID, "clicked")
}

func (h *host) event(t *testing.T, i icon, id int32, what string) {
	t.Helper()
	err := h.conn.Object(i.sender, i.path+"/menu").Call(menuIface+".Event", 0, id, what, dbus.MakeVariant(int32(0)), uint32(0)).Err
	if err != nil {
		t.Fatal(err)
	}
}

// show prints a menu for a person.
func show(t *testing.T, i item, indent string) string {
	var b strings.Builder
	for _, k := range i.items(t) {
		off := ""
		if !k.enabled() {
			off = " (off)"
		}
		if k.Props["type"].Value() == "separator" {
			fmt.Fprintf(&b, "%s---\n", indent)
			continue
		}
		fmt.Fprintf(&b, "%s%s%s\n%s", indent, k.label(), off, show(t, k, indent+"    "))
	}
	return b.String()
}
