// Package desktop provides what Ingot needs of the desktop: notifications, a
// single process per role, start at login, showing a file in the file manager,
// and dragging files out of a window.
//
// The decisions are in portable, tested files. Platform code is in files that
// end in _linux (D-Bus with godbus, X11 with xgb), _darwin (Objective-C with
// purego, without cgo) and _other, which return ErrNoDesktop. This project's
// tests do not run the darwin part: docs/macos-checklist.md lists each class
// and selector for a check on a Mac.
package desktop

import "errors"

// ErrNoDesktop reports that this platform or session does not support the
// operation.
var ErrNoDesktop = errors.New("this desktop does not support it")
