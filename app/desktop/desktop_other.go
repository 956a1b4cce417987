//go:build !linux && !darwin

package desktop

import "context"

// OpenNotifier says that there is none.
func OpenNotifier(func(id, action string)) (Notifier, error) { return nil, ErrNoDesktop }

// AtLogin is false.
func AtLogin() bool { return false }

// SetAtLogin says that it cannot.
func SetAtLogin(bool, string) error { return ErrNoDesktop }

// Reveal says that it cannot.
func Reveal(context.Context, string) error { return ErrNoDesktop }

// OpenTerminal says that it cannot.
func OpenTerminal(context.Context, []string, []string) error { return ErrNoDesktop }

// StartDrag says that it cannot.
func StartDrag(context.Context, uintptr, []string, func(Drop, error)) error { return ErrNoDesktop }

// OpenFile says that it cannot.
func OpenFile(context.Context, string) error { return ErrNoDesktop }
