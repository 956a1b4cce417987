//go:build !linux && !darwin

package desktop

import "context"

// OpenNotifier returns ErrNoDesktop.
func OpenNotifier(func(id, action string)) (Notifier, error) { return nil, ErrNoDesktop }

// AtLogin returns false.
func AtLogin() bool { return false }

// SetAtLogin returns ErrNoDesktop.
func SetAtLogin(bool, string) error { return ErrNoDesktop }

// Reveal returns ErrNoDesktop.
func Reveal(context.Context, string) error { return ErrNoDesktop }

// OpenTerminal returns ErrNoDesktop.
func OpenTerminal(context.Context, []string, []string) error { return ErrNoDesktop }

// StartDrag returns ErrNoDesktop.
func StartDrag(context.Context, uintptr, []string, func(Drop, error)) error { return ErrNoDesktop }

// OpenFile returns ErrNoDesktop.
func OpenFile(context.Context, string) error { return ErrNoDesktop }
