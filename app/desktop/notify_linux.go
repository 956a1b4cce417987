package desktop

import (
	"errors"
	"fmt"
	"html"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"
)

// The Desktop Notifications Specification 1.2.
const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// busNotifier shows notifications over the session bus.
type busNotifier struct {
	conn    *dbus.Conn
	invoked func(id, action string)
	signals chan *dbus.Signal
	ended   chan struct{}

	mu  sync.Mutex
	ids map[string]uint32 // the server's ids by ours
}

// OpenNotifier connects to the session bus. invoked is called with a
// notification's ID and an action's key, by one goroutine, and must not block
// for long.
func OpenNotifier(invoked func(id, action string)) (Notifier, error) {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return nil, fmt.Errorf("notifications: no session bus: %w", err)
	}
	n := &busNotifier{conn: conn, invoked: invoked, signals: make(chan *dbus.Signal, 16), ended: make(chan struct{}), ids: map[string]uint32{}}
	conn.Signal(n.signals) // closed with the connection
	if err := conn.AddMatchSignal(dbus.WithMatchObjectPath(notifyPath), dbus.WithMatchInterface(notifyName)); err != nil {
		return nil, errors.Join(fmt.Errorf("notifications: %w", err), conn.Close())
	}
	go n.listen()
	return n, nil
}

// Show shows a notification; it replaces an earlier one with the same ID.
func (n *busNotifier) Show(note Note) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	server := n.conn.Object(notifyName, notifyPath)
	var can []string
	if err := server.Call(notifyName+".GetCapabilities", 0).Store(&can); err != nil {
		return err
	}
	body := note.Body
	if slices.Contains(can, "body-markup") {
		body = html.EscapeString(body)
	}
	actions := []string{}
	if slices.Contains(can, "actions") {
		for _, a := range note.Actions {
			actions = append(actions, a.Key, a.Label)
		}
	}
	hints := map[string]dbus.Variant{"desktop-entry": dbus.MakeVariant(entryName), "urgency": dbus.MakeVariant(byte(1))}
	var id uint32
	err := server.Call(notifyName+".Notify", 0, "Ingot", n.ids[note.ID], "ingot", note.Title, body, actions, hints, int32(-1)).Store(&id)
	if err != nil {
		return err
	}
	n.ids[note.ID] = id
	return nil
}

// listen calls invoked for the actions of our notifications; the bus sends
// those of all programs.
func (n *busNotifier) listen() {
	defer close(n.ended)
	for s := range n.signals {
		if len(s.Body) < 2 {
			continue
		}
		id, _ := s.Body[0].(uint32)
		ours, ok := n.find(id)
		if !ok {
			continue
		}
		switch s.Name {
		case notifyName + ".ActionInvoked":
			if key, ok := s.Body[1].(string); ok {
				n.invoked(ours, key)
			}
		case notifyName + ".NotificationClosed":
			n.mu.Lock()
			delete(n.ids, ours)
			n.mu.Unlock()
		}
	}
}

func (n *busNotifier) find(id uint32) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ours, theirs := range n.ids {
		if theirs == id {
			return ours, true
		}
	}
	return "", false
}

// Close closes the connection and waits for the goroutine that reads it.
func (n *busNotifier) Close() error {
	err := n.conn.Close()
	<-n.ended
	return err
}
