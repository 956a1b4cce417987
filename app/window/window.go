// Package window is Ingot's main window: a sidebar and one view at a time.
//
// It holds no state of its own: rows and builds come from an app/feed, all else
// is read through Backend when a view is shown. News arrive on the feed's
// goroutine and are handed to the view inside fyne.Do, at one place
// (Window.follow); every method of a view runs on Fyne's main goroutine, and
// what takes long runs in a goroutine that comes back through Window.do. The
// package imports Fyne's portable part alone, so that it is drawn in tests
// without a display; what a desktop does (dragging out, opening files) it asks
// of Desktop.
//
// External facts: widgets and fyne.Do as of Fyne v2.7.1; a widget.List takes
// 100,000 lines where text widgets do not.
package window

import (
	"context"
	"sync"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend"
)

// Backend is what the views read and ask for. Methods may block: views call
// them from goroutines of their own, but for the cheap ones marked so.
type Backend interface {
	Evidence(ctx context.Context, id string) (backend.Document, error)
	BuildFile(d backend.Document, f backend.File) (string, error) // cheap
	Builds(target string) ([]backend.BuildInfo, error)
	Journal(target, id string) ([]backend.Event, error)
	LogFiles(target, id string) ([]string, error)
	Artifacts(ctx context.Context) ([]backend.ArtifactInfo, error)
	HandOut(a backend.ArtifactInfo) (string, error) // cheap: the digest is known since the artifact was listed
	Export(ctx context.Context, target, format, dst string, progress func(done, total int64)) error
	RecipeText(target string) (file, text string, err error)
	Validate(target string) error
	Fork(ctx context.Context, target, as string) (string, error)
	Describe(cause string) (backend.Finding, bool) // cheap
	Doctor(ctx context.Context, targets ...string) (backend.Report, error)
	Settings() Settings // cheap
	ProbeEndpoint(ctx context.Context) (address string, found []backend.Ability, err error)
	KeepCredentials(ctx context.Context, endpoint, access, key string) (string, error)
	Workers(ctx context.Context) ([]Worker, error) // of the team
	Preferences() app.Preferences                  // cheap
	KeepPreferences(p app.Preferences) error
	Submit(ctx context.Context, s backend.Submission) (string, error)
	Cancel(ctx context.Context, id string) error
	Prove(ctx context.Context, file string, notify func(string)) (evidence string, err error)
	Explain(text string) (backend.Explanation, error)
	VMStart(ctx context.Context, name string) error
	VMStop(ctx context.Context, name string) error
	VMExport(ctx context.Context, o backend.VMExportOptions) (backend.VMExported, error)
	VMShell(ctx context.Context, name string) (argv, environ []string, err error)
}

// Settings are what the settings view shows of a home.
type Settings struct {
	Config, Data, Cache, ConfigFile string
	Endpoint, Bucket, PublicURL     string // empty: the local store
	Keys                            string // where keys and credentials are kept
	Team                            string // address of the team's server; empty: there is none
	Version                         string
}

// Worker is one of the team's.
type Worker struct {
	backend.WorkerInfo
	Believed bool // this home takes over its evidence
}

// Desktop is what the window needs of the desktop around it.
type Desktop interface {
	// StartDrag begins to drag a file out of the window. It is called while the
	// pointer's event is handled, and returns at once; ended is called once, from
	// any goroutine, when the file was taken by what it was dropped on, or not.
	StartDrag(w fyne.Window, file string, ended func(taken bool, err error)) error
	Reveal(file string) error // in the file manager
	Open(file string) error   // with the program that the user has for it
	OpenTerminal(argv, environ []string) error
	Autostart() (on bool, err error)
	SetAutostart(on bool) error
}

// Window is the main window with the view that it shows.
type Window struct {
	fyne.Window
	backend Backend
	desktop Desktop
	feed    *feed.Feed
	main    func(f func()) // runs f on the main goroutine, later; fyne.Do
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup

	place   string // file of the window's place; "" keeps none
	route   Route
	view    view
	body    *fyne.Container
	sidebar map[string]*widget.Button
	status  *widget.Label
}

// view is one page. Its methods run on the main goroutine.
type view interface {
	object() fyne.CanvasObject
	update(s feed.State)
	leave() // ends what it started; the view is not used after
}

// New makes the window in an application. Close it to end what it started.
func New(app fyne.App, b Backend, d Desktop, f *feed.Feed) *Window {
	return newWindow(app, b, d, f, OnMain)
}

// OnMain runs f on the main goroutine, later. Once Fyne's loop has ended it does
// nothing: Fyne v2.7.1 closes its queue then, and fyne.Do would panic.
func OnMain(f func()) {
	defer func() {
		p := recover()
		if err, ok := p.(error); p != nil && (!ok || err.Error() != "send on closed channel") {
			panic(p)
		}
	}()
	fyne.Do(f)
}

// CloseByQuitting makes a window's close button end Fyne's loop, instead of
// closing the window first: Fyne v2.7.1 hands a closing window the events that
// are still on their way, such as a moved mouse, and ends by a nil pointer.
// before runs first; nil for nothing.
func CloseByQuitting(app fyne.App, w fyne.Window, before func()) {
	w.SetCloseIntercept(func() {
		if before != nil {
			before()
		}
		app.Driver().Quit()
	})
}

func newWindow(app fyne.App, b Backend, d Desktop, f *feed.Feed, main func(f func())) *Window {
	w := &Window{Window: app.NewWindow("Ingot"), backend: b, desktop: d, feed: f, main: main, body: container.NewStack(), status: widget.NewLabel(""), sidebar: map[string]*widget.Button{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.status.Truncation = fyne.TextTruncateEllipsis
	side := container.NewVBox()
	for _, p := range pages {
		b := widget.NewButtonWithIcon(p.title, p.icon(), func() { w.Go(Route{Page: p.name}) })
		b.Alignment = widget.ButtonAlignLeading
		w.sidebar[p.name] = b
		side.Add(b)
	}
	w.SetContent(container.NewBorder(nil, container.NewVBox(widget.NewSeparator(), w.status), container.NewHBox(container.NewPadded(side), widget.NewSeparator()), nil, w.body))
	w.Resize(fyne.NewSize(1100, 700))
	w.SetOnClosed(w.End)
	CloseByQuitting(app, w, w.End)
	w.SetOnDropped(func(_ fyne.Position, uris []fyne.URI) { w.dropped(uris) })
	w.work.Go(w.follow)
	w.Go(Route{Page: pageReality})
	return w
}

// End keeps the window's place and ends its view, on the main goroutine; the
// second time it does nothing. It is for ways out on which no window is closed: a
// driver that quits closes none.
func (w *Window) End() {
	if w.ctx.Err() != nil {
		return
	}
	w.keepPlace()
	w.cancel()
	if w.view != nil {
		w.view.leave()
	}
}

// Wait ends what the window started, if that has not ended with it – a driver
// that quits closes no windows –, and returns when all is over.
func (w *Window) Wait() {
	w.cancel()
	w.work.Wait()
}

// framePause bounds how often news are drawn.
const framePause = 100 * time.Millisecond

// follow hands news to the view: the one seam between the feed's goroutines and
// the main one.
func (w *Window) follow() {
	changed, stop := w.feed.Changed()
	defer stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-changed:
			w.now(w.update)
		}
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(framePause):
		}
	}
}

func (w *Window) update() {
	if w.ctx.Err() != nil {
		return
	}
	s := w.feed.State()
	w.status.SetText(summary(s))
	w.view.update(s)
}

// now runs f on the main goroutine and returns when it is done, or when the
// window is closed: then nobody runs it any more.
func (w *Window) now(f func()) {
	done := make(chan struct{})
	w.main(func() {
		defer close(done)
		f()
	})
	select {
	case <-done:
	case <-w.ctx.Done():
	}
}

// do runs work in a goroutine and then done on the main one, unless the window
// has been closed.
func (w *Window) do(work func(ctx context.Context) error, done func(err error)) {
	ctx := w.ctx
	w.work.Go(func() {
		err := work(ctx)
		w.main(func() {
			if ctx.Err() == nil {
				done(err)
			}
		})
	})
}

// say shows a message in the status line until the next news.
func (w *Window) say(err error, done string) {
	if err != nil {
		done = err.Error()
		if id, fix := backend.Advice(err); id != "" {
			done += " – " + fix
		}
	}
	w.status.SetText(clean(done))
}

// Go shows a route.
func (w *Window) Go(r Route) {
	if w.view != nil {
		w.view.leave()
	}
	w.route = r
	for name, b := range w.sidebar {
		b.Importance = widget.LowImportance
		if name == r.Page {
			b.Importance = widget.HighImportance
		}
		b.Refresh()
	}
	w.view = pageOf(r.Page).open(w, r)
	w.body.Objects = []fyne.CanvasObject{container.NewPadded(w.view.object())}
	w.body.Refresh()
	w.update()
}

// Route is where the window is.
func (w *Window) Route() Route { return w.route }

type page struct {
	name, title string
	icon        func() fyne.Resource
	open        func(*Window, Route) view
}

// Pages by their names in routes.
const (
	pageReality   = "reality"
	pageBuilds    = "builds"
	pageTargets   = "targets"
	pageArtifacts = "artifacts"
	pageVMs       = "vms"
	pageNotary    = "notary"
	pageSettings  = "settings"
	pageEvidence  = "evidence"
)

var pages []page

func init() {
	pages = []page{
		{pageReality, "Reality", theme.GridIcon, newReality},
		{pageBuilds, "Builds", theme.HistoryIcon, newBuilds},
		{pageTargets, "Targets", theme.DocumentIcon, newTargets},
		{pageArtifacts, "Artifacts", theme.StorageIcon, newArtifacts},
		{pageVMs, "VMs", theme.ComputerIcon, newVMs},
		{pageNotary, "Notary", theme.SearchIcon, newNotary},
		{pageSettings, "Settings", theme.SettingsIcon, newSettings},
	}
}

func pageOf(name string) page {
	for _, p := range pages {
		if p.name == name {
			return p
		}
	}
	if name == pageEvidence {
		return page{open: newEvidence}
	}
	return pages[0]
}
