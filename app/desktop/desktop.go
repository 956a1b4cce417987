// Package desktop is what Ingot asks of the desktop around it: notifications,
// one process a role, starting at login, showing a file in the file manager,
// and dragging files out of a window.
//
// The decisions are in portable, tested files. What is the platform's is in
// files that end in _linux (D-Bus by godbus, X11 by xgb), _darwin
// (Objective-C by purego, without cgo) and _other, which say that they can do
// nothing. Nothing of the darwin half was run by this project's tests:
// docs/macos-checklist.md lists each class and selector for an owner of a Mac.
package desktop

import "errors"

// ErrNoDesktop says that this platform or session cannot do it.
var ErrNoDesktop = errors.New("this desktop has no way to do it")
