//go:build !darwin

package desktop

// WatchApp does nothing: a second launch is a second process, which asks the
// first one over its socket, and D-Bus does not report when a menu closes.
func WatchApp(_, _ func()) error { return nil }
