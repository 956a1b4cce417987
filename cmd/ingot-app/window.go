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
	"ingot/app/look"
	"ingot/app/window"
	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/doctor"
	"ingot/backend/home"
	"ingot/backend/owner"
	"ingot/backend/remote"
	"ingot/backend/status"
	"ingot/backend/verify"
	"ingot/backend/vm"
	"ingot/resources"
)

// appID names the window's preferences in Fyne; Ingot stores nothing there.
const appID = "org.ingot.app.window"

// runWindow runs the window's role at a route of package window, and returns an
// exit code. If a window is open, it shows the route there.
func runWindow(route string) int {
	if err := showWindow(route); err != nil {
		fmt.Fprintln(os.Stderr, "ingot-app:", err)
		return 1
	}
	return 0
}

// shown is the window as it answers other processes.
type shown struct {
	ready   chan struct{} // closed when the window shows something
	over    context.Context
	focused atomic.Bool
	goTo    func(route string, r window.Route) // shows a route; "" brings the window to the front
	check   func(file string)                  // checks an image or a log
	quit    func()
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

// run shows the window until it is closed or ctx is done. If the route is "",
// it shows the page that was open last.
func (s *shown) run(ctx context.Context, route string, r window.Route) {
	a := fyneapp.NewWithID(appID)
	a.Settings().SetTheme(look.Theme{})
	if icon, err := resources.FS.ReadFile("icons/ingot.png"); err == nil { // the window has no icon otherwise
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
		select { // Fyne ignores Quit before its loop runs
		case <-over:
		case <-s.ready:
			window.OnMain(a.Driver().Quit) // App.Quit would close the windows first
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
	s.check, s.quit = w.Check, a.Driver().Quit
	w.Restore(filepath.Join(b.Home.Data, "window.json"))
	if route != "" { // requested by a notification or the menu
		w.Go(r)
	}
	w.ShowAndRun()
	w.End() // Fyne also quits on a signal
	unwatch()
	w.Wait()
	work.Wait()
}

// runWithout shows why the home cannot be opened.
func (s *shown) runWithout(a fyne.App, why error) {
	w := a.NewWindow("Ingot")
	text := widget.NewLabel("Ingot's home cannot be opened:\n\n" + why.Error() + "\n\nCorrect this and open Ingot again.")
	text.Wrapping = fyne.TextWrapWord
	text.Selectable = true
	w.SetContent(container.NewPadded(text))
	w.Resize(fyne.NewSize(600, 300))
	window.CloseByQuitting(a, w, nil)
	s.goTo = func(string, window.Route) { w.RequestFocus() }
	s.check, s.quit = func(string) { w.RequestFocus() }, a.Driver().Quit
	w.ShowAndRun()
}

// serve answers requests of the menu and of second windows.
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
	case desktop.RequestOpen:
		window.OnMain(func() { s.check(route) })
		return "ok"
	case desktop.RequestClose:
		window.OnMain(s.quit)
		return "ok"
	}
	return "unknown request " + verb
}

// ofHome implements window.Backend for a home. It opens the home again for
// operations that use recipes and configuration, since those may change while
// the window is open.
type ofHome struct{ *backend.Backend }

func (h ofHome) now() *backend.Backend {
	if b, err := openHome(); err == nil {
		return b
	}
	return h.Backend // the feed reports the error
}

func (h ofHome) Artifacts(ctx context.Context) ([]status.ArtifactInfo, error) {
	return status.Artifacts(ctx, h.now())
}

func (h ofHome) BuildFile(d api.Document, f api.File) (string, error) {
	return status.BuildFile(h.Backend, d, f)
}

func (h ofHome) Builds(target string) ([]status.BuildInfo, error) {
	return status.Builds(h.Backend, target)
}

func (h ofHome) Journal(target, id string) ([]api.Event, error) {
	return status.Journal(h.Backend, target, id)
}

func (h ofHome) LogFiles(target, id string) ([]string, error) {
	return status.LogFiles(h.Backend, target, id)
}

func (h ofHome) HandOut(a status.ArtifactInfo) (string, error) { return status.HandOut(h.Backend, a) }

func (h ofHome) Export(ctx context.Context, target, format, dst string, progress func(done, total int64)) error {
	return status.Export(ctx, h.Backend, target, format, dst, progress)
}

func (h ofHome) RecipeText(target string) (file, text string, err error) {
	return status.RecipeText(h.now(), target)
}

func (h ofHome) RecipeSource(target string) (file, text string, own bool, err error) {
	return status.RecipeSource(h.now(), target)
}

func (h ofHome) TryRecipe(target, text string) (whole, base string, err error) {
	return status.TryRecipe(h.now(), target, text)
}

func (h ofHome) SaveRecipe(target, before, text string) error {
	return status.SaveRecipe(h.now(), target, before, text)
}

func (h ofHome) Fork(ctx context.Context, target, as string) (string, error) {
	return status.Fork(ctx, h.now(), target, as)
}

func (h ofHome) Doctor(ctx context.Context, targets ...string) (doctor.Report, error) {
	return doctor.Examine(ctx, h.now(), targets...)
}

func (h ofHome) Mend(ctx context.Context, note func(string)) (doctor.Report, error) {
	return doctor.Mend(ctx, h.now(), nil, doctor.Lines(note))
}

func (h ofHome) Link() (doctor.Link, bool) {
	program, err := api.Program()
	if err != nil {
		return doctor.Link{}, false
	}
	return doctor.FindLink(program, doctor.LinkFolders(), doctor.ShellPath()), true
}

func (h ofHome) Guests(ctx context.Context) (vm.Guests, error) { return vm.ListGuests(ctx, h.now()) }

func (h ofHome) SetGuest(_ context.Context, name string) error { return vm.SetGuest(h.now(), name) }

// SetDestination writes the destination into config.yaml; other keys of publish stay.
func (h ofHome) SetDestination(_ context.Context, d window.Destination) error {
	b := h.now()
	c := b.Config.Publish
	c.Endpoint, c.Bucket, c.Prefix, c.PublicURL = d.Endpoint, d.Bucket, d.Prefix, d.PublicURL
	if d.Endpoint == "" {
		c = home.PublishConfig{}
	}
	return b.Home.SetPublish(c)
}

func (h ofHome) Validate(target string) error { return status.Validate(h.now(), target) }

func (h ofHome) Submit(ctx context.Context, s api.Submission) (string, error) {
	return owner.ClientOf(h.now()).Submit(ctx, s)
}

func (h ofHome) Cancel(ctx context.Context, id string) error {
	return owner.ClientOf(h.Backend).Cancel(ctx, id)
}

func (h ofHome) Prove(ctx context.Context, file string, notify func(string)) (string, error) {
	id, _, err := verify.Prove(ctx, h.now(), file, "", notify)
	return id, err
}

func (h ofHome) VMStart(ctx context.Context, name string) error {
	return vm.Start(ctx, h.now(), name, nil)
}

func (h ofHome) VMStop(ctx context.Context, name string) error {
	return vm.Stop(ctx, name, false, nil)
}

func (h ofHome) VMExport(ctx context.Context, o vm.ExportOptions) (vm.Exported, error) {
	return vm.Export(ctx, h.now(), o)
}

func (h ofHome) VMImagePlan(ctx context.Context, name string) (vm.ImagePlan, error) {
	return vm.PlanImage(ctx, h.now(), name)
}

func (h ofHome) VMImage(ctx context.Context, o vm.ImageOptions, publish bool) (string, error) {
	target, _, err := vm.EnsureTarget(ctx, h.now(), o)
	if err != nil {
		return "", err
	}
	s := api.Submission{Target: target, Until: "prove", StopVM: o.Stop}
	if publish {
		s.Until = ""
	}
	return owner.ClientOf(h.now()).Submit(ctx, s)
}

func (h ofHome) VMShell(ctx context.Context, name string) (argv, environ []string, err error) {
	return vm.Shell(ctx, name)
}

func (h ofHome) Phases(console []string) ([]api.Phase, error) { return status.Phases(console) }

func (h ofHome) Explain(text string) (status.Explanation, error) { return status.Explain(text) }

func (h ofHome) ExplainFile(path string) (status.Explanation, error) {
	return status.ExplainAt(path, strings.NewReader(""))
}

func (h ofHome) DiagnosePacker(ctx context.Context, path string) (*doctor.PackerDiagnosis, error) {
	return doctor.ExaminePacker(ctx, doctor.PackerOptions{Path: path})
}

func (h ofHome) MendPacker(ctx context.Context, path string) (*doctor.PackerMended, error) {
	return doctor.MendPacker(ctx, doctor.PackerOptions{Path: path})
}

func (h ofHome) Verify(ctx context.Context, address, keyFile string, notify func(string)) (string, error) {
	v, err := verify.Check(ctx, h.now(), verify.Options{Subject: address, KeyFile: keyFile, Boot: true, Notify: notify})
	return v.Booted, err
}

func (h ofHome) Checks(ctx context.Context) ([]api.Document, error) {
	return status.FileProofs(ctx, h.Backend)
}

// Workers lists the team's workers.
func (h ofHome) Workers(ctx context.Context) ([]window.Worker, error) {
	b := h.now()
	all, err := remote.TeamWorkers(ctx, b)
	out := make([]window.Worker, len(all))
	for i, w := range all {
		out[i] = window.Worker{WorkerInfo: w, Trusted: remote.TrustsWorker(b, w)}
	}
	return out, err
}

func (h ofHome) Preferences() app.Preferences { return app.LoadPreferences(h.now().Home.Config) }

func (h ofHome) KeepPreferences(p app.Preferences) error { return p.Keep(h.now().Home.Config) }

func (h ofHome) Settings() window.Settings {
	b := h.now()
	c := b.Config.Publish
	program, _ := api.Program() // the feed reports that there is none
	return window.Settings{Config: b.Home.Config, Data: b.Home.Data, Cache: b.Home.Cache, ConfigFile: b.Home.ConfigFile(),
		Destination: window.Destination{Endpoint: c.Endpoint, Bucket: c.Bucket, Prefix: c.Prefix, PublicURL: c.PublicURL}, Keys: b.KeysWhere(), Team: b.Config.Team.NATS, Version: api.Version, Program: program}
}
