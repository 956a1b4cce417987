//go:build window

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver"

	"ingot/app/desktop"
)

// onDesktop is the desktop as the window asks for it; what is under way ends
// with ctx.
type onDesktop struct{ ctx context.Context }

// StartDrag begins to drag a file out of the window, on the main goroutine.
func (d onDesktop) StartDrag(w fyne.Window, file string, ended func(taken bool, err error)) error {
	begin := func(window uintptr) error {
		return desktop.StartDrag(d.ctx, window, []string{file}, func(drop desktop.Drop, err error) { ended(drop.Accepted, err) })
	}
	native, ok := w.(driver.NativeWindow)
	if !ok {
		return begin(0)
	}
	var err error
	native.RunNative(func(c any) {
		var window uintptr
		if mac, ok := c.(driver.MacWindowContext); ok {
			window = mac.NSWindow
		}
		err = begin(window)
	})
	return err
}

func (d onDesktop) Reveal(file string) error { return desktop.Reveal(d.ctx, file) }

func (d onDesktop) Open(file string) error { return desktop.OpenFile(d.ctx, file) }

func (d onDesktop) OpenTerminal(argv, environ []string) error {
	return desktop.OpenTerminal(d.ctx, argv, environ)
}

// errMenuOnly is for macOS, where a bundle can say only of itself that it is to
// start at login, and the window's is not the menu's.
var errMenuOnly = errors.New("the menu's own Start at Login is where this is said on a Mac")

func (onDesktop) Autostart() (bool, error) {
	if runtime.GOOS == "darwin" {
		return false, errMenuOnly
	}
	return desktop.AtLogin(), nil
}

// SetAutostart makes the menu start at login: the program beside this one.
func (onDesktop) SetAutostart(on bool) error {
	if runtime.GOOS == "darwin" {
		return errMenuOnly
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return desktop.SetAtLogin(on, filepath.Join(filepath.Dir(self), "ingot-app"))
}
