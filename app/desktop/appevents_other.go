//go:build !darwin

package desktop

// WatchApp has nothing to watch here: a second launch is a second process,
// which asks the first, and the bus does not tell when a menu closes.
func WatchApp(_, _ func()) error { return nil }
