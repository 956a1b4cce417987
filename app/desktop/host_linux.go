package desktop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// watcherName is the bus name of the service that shows tray icons.
const watcherName = "org.kde.StatusNotifierWatcher"

// TrayHost reports whether the desktop shows tray icons. It waits up to wait,
// since the panel may start later at login. It returns an error if there is no
// session bus, without which systray cannot run.
func TrayHost(ctx context.Context, wait time.Duration) (bool, error) {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return false, fmt.Errorf("no session bus, so there can be no tray icon: %w", err)
	}
	defer conn.Close()
	changed := make(chan *dbus.Signal, 16)
	conn.Signal(changed)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, watcherName)); err != nil {
		return false, fmt.Errorf("tray host: %w", err)
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for {
		var there bool
		if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, watcherName).Store(&there); err != nil || there {
			return there, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-limit.C:
			return false, nil
		case _, ok := <-changed:
			if !ok {
				return false, errors.New("tray host: the session bus has closed the connection")
			}
		}
	}
}
