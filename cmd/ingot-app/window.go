//go:build cgo

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/app"

	"ingot/app/feed"
	"ingot/app/window"
	"ingot/backend"
)

// runWindow shows the window at a route until it is closed.
func runWindow(route string) error {
	r, err := window.ParseRoute(route)
	if err != nil {
		return err
	}
	b, err := backend.Open(backend.Options{Log: os.Stderr})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f := feed.New(b.Client())
	var feeding sync.WaitGroup
	fctx, cancel := context.WithCancel(ctx)
	feeding.Go(func() { f.Run(fctx) })
	a := app.NewWithID("org.ingot.app")
	w := window.New(a, door{b, b.Client()}, desk{}, f)
	w.Go(r)
	a.Lifecycle().SetOnEnteredForeground(f.Refresh) // what lies on disk may have changed
	go func() {
		<-fctx.Done()
		fyne.Do(a.Quit)
	}()
	w.ShowAndRun()
	cancel()
	w.Wait()
	feeding.Wait()
	return nil
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
type desk struct{}

var errNotHere = errors.New("not on this desktop yet")

func (desk) Drag(fyne.Window, string) error { return errNotHere }
func (desk) Reveal(string) error            { return errNotHere }
func (desk) Open(string) error              { return errNotHere }
func (desk) Autostart() (bool, error)       { return false, errNotHere }
func (desk) SetAutostart(bool) error        { return errNotHere }
