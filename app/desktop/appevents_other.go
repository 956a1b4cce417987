//go:build !darwin

package desktop

// WatchApp does nothing: a second launch is a second process, which asks the
// first one over its socket, and so is one with a link or a file. D-Bus does not
// report when a menu closes.
func WatchApp(AppEvents) error { return nil }
