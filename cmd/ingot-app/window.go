//go:build window

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"fyne.io/fyne/v2"
	fyneapp "fyne.io/fyne/v2/app"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/desktop"
	"ingot/app/feed"
	"ingot/app/window"
	"ingot/backend"
	"ingot/resources"
)

// appID names the window's preferences; nothing of the product is kept there.
const appID = "org.ingot.app.window"

// runWindow is the window's role, at a route of package window. It returns an
// exit code. A second one hands its route to the first.
func runWindow(route string) int {
	if err := showWindow(route); err != nil {
		fmt.Fprintln(os.Stderr, "ingot-app:", err)
		return 1
	}
	return 0
}

// shown is the window as other processes ask for it.
type shown struct {
	ready   chan struct{} // closed when there is something to see
	over    context.Context
	focused atomic.Bool
	goTo    func(route string, r window.Route) // "": where it is
}

func showWindow(route string) error {
	r, err := window.ParseRoute(route)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &shown{ready: make(chan struct{}), over: ctx}
	one, _, err := desktop.Become(ctx, desktop.WindowRole, desktop.RequestShow+" "+route, s.serve)
	if err != nil || one == nil {
		return err
	}
	s.run(ctx, route, r)
	stop()
	return one.Close()
}

// run shows the window until it is closed or ctx ends: at the place where it was
// closed last when the route is "".
func (s *shown) run(ctx context.Context, route string, r window.Route) {
	a := fyneapp.NewWithID(appID)
	if icon, err := resources.FS.ReadFile("icons/ingot.png"); err == nil { // a window without is no fault
		a.SetIcon(fyne.NewStaticResource("ingot.png", icon))
	}
	life := a.Lifecycle()
	life.SetOnStarted(sync.OnceFunc(func() { close(s.ready) }))
	life.SetOnEnteredForeground(func() { s.focused.Store(true) })
	life.SetOnExitedForeground(func() { s.focused.Store(false) })
	over := make(chan struct{})
	var quitter sync.WaitGroup
	defer quitter.Wait()
	defer close(over)
	quitter.Go(func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		select { // before it runs, Fyne forgets that it was told to quit
		case <-over:
		case <-s.ready:
			window.OnMain(a.Driver().Quit) // not the app's own, which closes windows first
		}
	})
	b, err := openHome()
	if err != nil {
		s.runWithout(a, err)
		return
	}
	f := feed.New(&feed.Home{Open: openHome})
	watch, unwatch := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { f.Run(watch) })
	w := window.New(a, ofHome{b}, onDesktop{watch}, f)
	w.SetMaster()
	s.goTo = func(route string, r window.Route) {
		if route != "" {
			w.Go(r)
		}
		w.Show()
		w.RequestFocus()
	}
	w.Restore(filepath.Join(b.Home.Data, "window.json"))
	if route != "" { // asked for, by a notification or the menu
		w.Go(r)
	}
	w.ShowAndRun()
	w.End() // Fyne quits of its own on a signal, too
	unwatch()
	w.Wait()
	work.Wait()
}

// runWithout says why there is nothing to show.
func (s *shown) runWithout(a fyne.App, why error) {
	w := a.NewWindow("Ingot")
	text := widget.NewLabel("Ingot's home cannot be opened:\n\n" + why.Error() + "\n\nMend it, and open Ingot again.")
	text.Wrapping = fyne.TextWrapWord
	text.Selectable = true
	w.SetContent(container.NewPadded(text))
	w.Resize(fyne.NewSize(600, 300))
	window.CloseByQuitting(a, w, nil)
	s.goTo = func(string, window.Route) { w.RequestFocus() }
	w.ShowAndRun()
}

// serve answers the menu and second windows.
func (s *shown) serve(request string) string {
	select {
	case <-s.ready:
	case <-s.over.Done():
		return "no"
	}
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
		window.OnMain(func() { s.goTo(route, r) })
		return "ok"
	}
	return "unknown request " + verb
}

// ofHome is the home as the window reads it. What concerns recipes and
// configuration is read afresh, since both change while the window is open.
type ofHome struct{ *backend.Backend }

func (h ofHome) now() *backend.Backend {
	if b, err := openHome(); err == nil {
		return b
	}
	return h.Backend // the feed says what is wrong
}

func (h ofHome) Artifacts(ctx context.Context) ([]backend.ArtifactInfo, error) {
	return h.now().Artifacts(ctx)
}

func (h ofHome) RecipeText(target string) (file, text string, err error) {
	return h.now().RecipeText(target)
}

func (h ofHome) Fork(ctx context.Context, target, as string) (string, error) {
	return h.now().Fork(ctx, target, as)
}

func (h ofHome) Doctor(ctx context.Context, targets ...string) (backend.Report, error) {
	return h.now().Doctor(ctx, targets...)
}

func (h ofHome) Validate(target string) error { return backend.Validate(h.now(), target) }

func (h ofHome) Submit(ctx context.Context, s backend.Submission) (string, error) {
	return h.now().Client().Submit(ctx, s)
}

func (h ofHome) Cancel(ctx context.Context, id string) error { return h.Client().Cancel(ctx, id) }

func (h ofHome) Prove(ctx context.Context, file string, notify func(string)) (string, error) {
	id, _, err := backend.Prove(ctx, h.now(), file, "", notify)
	return id, err
}

func (h ofHome) VMStart(ctx context.Context, name string) error {
	return h.now().VMStart(ctx, name, nil)
}

func (h ofHome) VMStop(ctx context.Context, name string) error {
	return backend.VMStop(ctx, name, false, nil)
}

func (h ofHome) VMExport(ctx context.Context, o backend.VMExportOptions) (backend.VMExported, error) {
	return h.now().VMExport(ctx, o)
}

func (h ofHome) VMShell(ctx context.Context, name string) (argv, environ []string, err error) {
	return backend.VMShell(ctx, name)
}

func (h ofHome) Explain(text string) (backend.Explanation, error) { return backend.Explain(text) }

// Workers asks the team's server.
func (h ofHome) Workers(ctx context.Context) ([]window.Worker, error) {
	b := h.now()
	all, err := b.TeamWorkers(ctx)
	out := make([]window.Worker, len(all))
	for i, w := range all {
		out[i] = window.Worker{WorkerInfo: w, Believed: b.Believed(w)}
	}
	return out, err
}

func (h ofHome) Preferences() app.Preferences { return app.LoadPreferences(h.now().Home.Config) }

func (h ofHome) KeepPreferences(p app.Preferences) error { return p.Keep(h.now().Home.Config) }

func (h ofHome) Settings() window.Settings {
	b := h.now()
	c := b.Config().Publish
	return window.Settings{Config: b.Home.Config, Data: b.Home.Data, Cache: b.Home.Cache, ConfigFile: b.Home.ConfigFile(),
		Endpoint: c.Endpoint, Bucket: c.Bucket, PublicURL: c.PublicURL, Keys: b.KeysWhere(), Team: b.Config().Team.NATS, Version: backend.Version}
}
