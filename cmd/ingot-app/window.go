//go:build cgo

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"fyne.io/fyne/v2"
	fyneapp "fyne.io/fyne/v2/app"

	"ingot/app/desktop"
	"ingot/app/feed"
	"ingot/app/window"
	"ingot/backend"
)

// runWindow is the window's role, at a route of package app. It returns an exit
// code when the window is closed; where there is a window already, that one
// goes to the route.
func runWindow(route string) int {
	if err := showWindow(route); err != nil {
		fmt.Fprintln(os.Stderr, "ingot-app:", err)
		return 1
	}
	return 0
}

func showWindow(route string) error {
	r, err := window.ParseRoute(route)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &served{up: make(chan struct{})}
	one, _, err := desktop.Become(ctx, desktop.WindowRole, desktop.RequestShow+" "+route, s.answer)
	if err != nil || one == nil {
		return err
	}
	defer one.Close() // the process ends
	b, err := openHome()
	if err != nil {
		return err
	}
	client := b.Client()
	f := feed.New(client)
	app := fyneapp.NewWithID("org.ingot.app")
	app.Lifecycle().SetOnEnteredForeground(func() {
		s.focused.Store(true)
		f.Refresh() // what lies on disk may have changed meanwhile
	})
	app.Lifecycle().SetOnExitedForeground(func() { s.focused.Store(false) })
	w := window.New(app, door{b, client}, desk{ctx}, f)
	w.Go(r)
	s.w = w
	close(s.up)
	var feeding sync.WaitGroup
	feeding.Go(func() { f.Run(ctx) })
	feeding.Go(func() {
		<-ctx.Done()
		fyne.Do(app.Quit)
	})
	w.ShowAndRun()
	stop()
	w.Wait()
	feeding.Wait()
	return nil
}

// served answers other processes for the window.
type served struct {
	focused atomic.Bool
	up      chan struct{} // closed when w is there
	w       *window.Window
}

func (s *served) answer(request string) string {
	verb, route, _ := strings.Cut(request, " ")
	switch verb {
	case desktop.RequestFocused:
		if s.focused.Load() {
			return "yes"
		}
		return "no"
	case desktop.RequestShow:
		r, err := window.ParseRoute(route)
		if err != nil {
			return err.Error()
		}
		<-s.up
		fyne.Do(func() {
			s.w.Go(r)
			s.w.RequestFocus()
		})
		return "ok"
	}
	return "unknown request " + verb
}

// door is the backend as the window sees it.
type door struct {
	*backend.Backend
	client *backend.Client
}

func (d door) Validate(target string) error { return backend.Validate(d.Backend, target) }

func (d door) Submit(ctx context.Context, s backend.Submission) (string, error) {
	return d.client.Submit(ctx, s)
}

func (d door) Cancel(ctx context.Context, id string) error { return d.client.Cancel(ctx, id) }

func (d door) Prove(ctx context.Context, file string, notify func(string)) (string, error) {
	id, _, err := backend.Prove(ctx, d.Backend, file, "", notify)
	return id, err
}

func (d door) Explain(text string) (backend.Explanation, error) { return backend.Explain(text) }

func (d door) Settings() window.Settings {
	c := d.Config().Publish
	return window.Settings{Config: d.Home.Config, Data: d.Home.Data, Cache: d.Home.Cache, ConfigFile: d.Home.ConfigFile(), Endpoint: c.Endpoint, Bucket: c.Bucket, PublicURL: c.PublicURL, Keys: d.KeysWhere(), Version: backend.Version}
}

// desk is the desktop as the window sees it.
type desk struct{ ctx context.Context }

func (d desk) Drag(w fyne.Window, file string) error { return drag(d.ctx, w, file) }
func (d desk) Reveal(file string) error              { return desktop.Reveal(d.ctx, file) }

// Open opens a file or folder with the program that the user has for it.
func (d desk) Open(file string) error {
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	}
	if out, err := exec.CommandContext(d.ctx, opener, file).CombinedOutput(); err != nil {
		return fmt.Errorf("open %s: %w: %s", file, err, out)
	}
	return nil
}

func (desk) Autostart() (bool, error) { return desktop.AtLogin() }

func (desk) SetAutostart(on bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return desktop.SetAtLogin(on, self)
}
