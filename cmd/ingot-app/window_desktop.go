//go:build cgo

package main

import (
	"context"
	"os"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver"

	"ingot/app/desktop"
)

// onDesktop is the desktop as the window asks for it; what is under way ends
// with ctx.
type onDesktop struct{ ctx context.Context }

// Drag drags a file out of the window and returns when it is dropped.
func (d onDesktop) Drag(w fyne.Window, file string) error {
	ended := make(chan error, 1)
	begin := func(window uintptr) {
		if err := desktop.StartDrag(d.ctx, window, []string{file}, func(_ desktop.Drop, err error) { ended <- err }); err != nil {
			ended <- err
		}
	}
	if native, ok := w.(driver.NativeWindow); ok {
		fyne.Do(func() {
			native.RunNative(func(c any) {
				if mac, ok := c.(driver.MacWindowContext); ok {
					begin(mac.NSWindow)
					return
				}
				begin(0)
			})
		})
	} else {
		begin(0)
	}
	return <-ended
}

func (d onDesktop) Reveal(file string) error { return desktop.Reveal(d.ctx, file) }

func (d onDesktop) Open(file string) error { return desktop.OpenFile(d.ctx, file) }

func (onDesktop) Autostart() (bool, error) { return desktop.AtLogin(), nil }

func (onDesktop) SetAutostart(on bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return desktop.SetAtLogin(on, self)
}
