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

// onDesktop implements window.Desktop. Its operations end when ctx is done.
type onDesktop struct{ ctx context.Context }

// StartDrag starts dragging a file out of the window, on the main goroutine.
func (d onDesktop) StartDrag(w fyne.Window, file string, ended func(accepted bool, err error)) error {
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

// errMenuOnly is the error on macOS, where only a bundle itself can register to
// start at login, and the window is in another bundle than the menu.
var errMenuOnly = errors.New("on a Mac this is set with Start at Login in the menu")

func (onDesktop) Autostart() (bool, error) {
	if runtime.GOOS == "darwin" {
		return false, errMenuOnly
	}
	return desktop.AtLogin(), nil
}

// SetAutostart makes the menu, the program beside this one, start at login, or
// not.
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
