// Package window is Ingot's main window: a sidebar and one view at a time.
//
// It stores no state of its own: rows and builds come from an app/feed,
// everything else is read through Backend when a view is shown. Changes arrive
// on the feed's goroutine and reach the view inside fyne.Do, in one place
// (Window.follow). Every method of a view runs on Fyne's main goroutine; work
// that takes long runs in a goroutine that returns its result through
// Window.do. The package imports only Fyne's portable part, so that tests can
// draw it without a display; operations of the desktop (dragging out, opening
// files) are behind the interface Desktop.
//
// External facts: widgets and fyne.Do as of Fyne v2.7.1; a widget.List can show
// 100,000 lines, text widgets cannot.
package window

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
	"ingot/backend/doctor"
	"ingot/backend/status"
	"ingot/backend/vm"
)

// Backend is what the views read and call. Methods may block, so views call
// them from other goroutines, except the ones marked as cheap.
type Backend interface {
	Evidence(ctx context.Context, id string) (api.Document, error)
	BuildFile(d api.Document, f api.File) (string, error) // cheap
	Builds(target string) ([]status.BuildInfo, error)
	Journal(target, id string) ([]api.Event, error)
	LogFiles(target, id string) ([]string, error)
	Artifacts(ctx context.Context) ([]status.ArtifactInfo, error)
	HandOut(a status.ArtifactInfo) (string, error) // cheap: the digest was computed when the artifact was listed
	Export(ctx context.Context, target, format, dst string, progress func(done, total int64)) error
	RecipeText(target string) (file, text string, err error)
	RecipeSource(target string) (file, text string, own bool, err error) // as it was written
	TryRecipe(target, text string) (whole, base string, err error)       // what the text would be, and what it extends
	SaveRecipe(target, before, text string) error
	Validate(target string) error
	Fork(ctx context.Context, target, as string) (string, error)
	Describe(cause string) (api.Finding, bool) // cheap
	Phases(console []string) ([]api.Phase, error)
	Doctor(ctx context.Context, targets ...string) (doctor.Report, error)
	// Mend installs what Doctor says is missing; note gets what is being done, line by
	// line, from any goroutine. When ctx is done, it returns once what runs has ended.
	Mend(ctx context.Context, note func(string)) (doctor.Report, error)
	Link() (l doctor.Link, ok bool) // cheap; of a shell to the program of this app, if there is one
	Guests(ctx context.Context) (vm.Guests, error)
	SetGuest(ctx context.Context, name string) error
	Settings() Settings // cheap
	ProbeEndpoint(ctx context.Context) (address string, found []api.Ability, err error)
	SetDestination(ctx context.Context, d Destination) error
	KeepCredentials(ctx context.Context, endpoint, access, key string) (string, error)
	Workers(ctx context.Context) ([]Worker, error) // of the team
	Preferences() app.Preferences                  // cheap
	KeepPreferences(p app.Preferences) error
	Submit(ctx context.Context, s api.Submission) (string, error)
	Cancel(ctx context.Context, id string) error
	Prove(ctx context.Context, file string, notify func(string)) (evidence string, err error)
	Explain(text string) (status.Explanation, error)
	ExplainFile(path string) (status.Explanation, error) // a log, a folder or an archive of them
	DiagnosePacker(ctx context.Context, path string) (*doctor.PackerDiagnosis, error)
	MendPacker(ctx context.Context, path string) (*doctor.PackerMended, error)
	// Verify checks a published release and boots its disk; the evidence is that of the
	// boot. keyFile has the publisher's public key; "" accepts this home's.
	Verify(ctx context.Context, address, keyFile string, notify func(string)) (evidence string, err error)
	Checks(ctx context.Context) ([]api.Document, error) // proofs of files that were not built here, oldest first
	VMStart(ctx context.Context, name string) error
	VMStop(ctx context.Context, name string) error
	VMExport(ctx context.Context, o vm.ExportOptions) (vm.Exported, error)
	VMImagePlan(ctx context.Context, name string) (vm.ImagePlan, error)
	VMImage(ctx context.Context, o vm.ImageOptions, publish bool) (build string, err error)
	VMShell(ctx context.Context, name string) (argv, environ []string, err error)
}

// Destination is where releases go: an S3-compatible endpoint, or the local store where
// the endpoint is empty.
type Destination struct{ Endpoint, Bucket, Prefix, PublicURL string }

// Settings are the values that the settings view shows.
type Settings struct {
	Config, Data, Cache, ConfigFile string
	Destination
	Keys    string // where keys and credentials are stored
	Team    string // address of the team's server; "" means none
	Version string
	Program string // path of `ingot`
}

// Worker is a worker of the team.
type Worker struct {
	api.WorkerInfo
	Trusted bool // this home accepts its evidence
}

// Desktop is what the window needs of the desktop.
type Desktop interface {
	// StartDrag starts dragging a file out of the window. It is called while
	// the pointer's event is handled, and returns at once. ended is called
	// once, from any goroutine, when the drag ends; accepted reports whether
	// the target accepted the file.
	StartDrag(w fyne.Window, file string, ended func(taken bool, err error)) error
	Reveal(file string) error // in the file manager
	Open(file string) error   // with the user's program for its type
	OpenTerminal(argv, environ []string) error
	Autostart() (on bool, err error)
	SetAutostart(on bool) error
}

// Window is the main window with its current view.
type Window struct {
	fyne.Window
	backend Backend
	desktop Desktop
	feed    *feed.Feed
	main    func(f func()) // runs f on the main goroutine, later; fyne.Do
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup

	geometryFile string // path; "" disables saving
	route        Route
	view         view
	body         *fyne.Container
	sidebar      map[string]*widget.Button
	status       *widget.Label
	mending      mending
	checks       []*check          // newest first
	drafts       map[string]draft  // by target
	asked        map[string]bool   // targets whose build is being asked for
	doing        map[string]string // what is being done to a VM, by its name
	failed       map[string]error  // what went wrong with a VM last, by its name
	looked       bool              // whether anything was built, and what this computer lacks
	first        bool              // nothing was built when the window opened
	missing      int               // things that this computer lacks, as far as is known
	report       doctor.Report     // of the last look at it
}

// view is one page. Its methods run on the main goroutine.
type view interface {
	object() fyne.CanvasObject
	update(s feed.State)
	leave() // ends the view's goroutines; the view is not used afterwards
}

// New creates the window in an application. Close it to end its goroutines.
func New(app fyne.App, b Backend, d Desktop, f *feed.Feed) *Window {
	return newWindow(app, b, d, f, OnMain)
}

// OnMain runs f on the main goroutine, asynchronously. After Fyne's loop has
// ended it does nothing: Fyne v2.7.1 closes its queue then, and fyne.Do would
// panic.
func OnMain(f func()) {
	defer func() {
		p := recover()
		if err, ok := p.(error); p != nil && (!ok || err.Error() != "send on closed channel") {
			panic(p)
		}
	}()
	fyne.Do(f)
}

// CloseByQuitting makes a window's close button end Fyne's loop instead of
// closing the window first: Fyne v2.7.1 passes queued events, such as mouse
// moves, to a closing window, and crashes with a nil pointer. before runs
// first; it may be nil.
func CloseByQuitting(app fyne.App, w fyne.Window, before func()) {
	w.SetCloseIntercept(func() {
		if before != nil {
			before()
		}
		app.Driver().Quit()
	})
}

func newWindow(app fyne.App, b Backend, d Desktop, f *feed.Feed, main func(f func())) *Window {
	w := &Window{Window: app.NewWindow("Ingot"), backend: b, desktop: d, feed: f, main: main, body: container.NewStack(), status: widget.NewLabel(""), sidebar: map[string]*widget.Button{}, drafts: map[string]draft{}, asked: map[string]bool{}, doing: map[string]string{}, failed: map[string]error{}}
	w.mending.w = w
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.status.Truncation = fyne.TextTruncateEllipsis
	top, foot := container.NewVBox(), container.NewVBox()
	for _, p := range pages {
		b := widget.NewButtonWithIcon(p.title, p.icon(), func() { w.Go(Route{Page: p.name}) })
		b.Alignment = widget.ButtonAlignLeading
		w.sidebar[p.name] = b
		if p.name == pageSettings {
			foot.Add(b)
		} else {
			top.Add(b)
		}
	}
	side := container.NewStack(newBlock(look.Surface, "", 0), container.NewPadded(container.NewPadded(container.NewBorder(nil, foot, nil, nil, top))))
	w.SetContent(container.NewBorder(nil, container.NewVBox(widget.NewSeparator(), w.status), container.NewHBox(side, widget.NewSeparator()), nil, w.body))
	w.Resize(fyne.NewSize(1100, 700))
	w.SetOnClosed(w.End)
	w.SetCloseIntercept(w.close)
	w.SetOnDropped(func(_ fyne.Position, uris []fyne.URI) { w.dropped(uris) })
	changed, stop := w.feed.Changed()
	w.work.Go(func() {
		defer stop()
		w.follow(changed)
	})
	w.addKeys()
	w.Go(Route{Page: pageHome})
	return w
}

// close ends the app's loop, see CloseByQuitting; it asks first if a recipe is not saved.
func (w *Window) close() {
	quit := func() {
		w.End()
		fyne.CurrentApp().Driver().Quit()
	}
	names := w.unsaved()
	if len(names) == 0 {
		quit()
		return
	}
	dialog.ShowConfirm("Close without saving?", "The recipe of "+clean(strings.Join(names, ", "))+" has changes that are not saved.", func(yes bool) {
		if yes {
			quit()
		}
	}, w.Window)
}

// End saves the window's geometry and ends its view, on the main goroutine. A
// second call does nothing. It is needed where no window is closed: a driver
// that quits closes none.
func (w *Window) End() {
	if w.ctx.Err() != nil {
		return
	}
	w.saveGeometry()
	w.cancel()
	if w.view != nil {
		w.view.leave()
	}
}

// Wait ends the window's goroutines, if End has not, and returns when they have
// ended.
func (w *Window) Wait() {
	w.cancel()
	w.work.Wait()
}

// framePause is the minimal time between two updates of the view.
const framePause = 100 * time.Millisecond

// follow passes changes of the feed to the view. It is the only place where the
// feed's goroutines reach the main one. changed is the feed's, asked for before the view
// was first drawn: no change in between is lost.
func (w *Window) follow(changed <-chan struct{}) {
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
	w.countBuilds(len(s.Builds))
	w.view.update(s)
}

// countBuilds shows beside Activity how many builds run or wait.
func (w *Window) countBuilds(n int) {
	label := pageOf(pageBuilds).title
	if n > 0 {
		label = fmt.Sprintf("%s (%d)", label, n)
	}
	if b := w.sidebar[pageBuilds]; b.Text != label {
		b.SetText(label)
	}
}

// now runs f on the main goroutine and returns when f has returned, or when the
// window is closed and f will not run.
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

// do runs work in a goroutine and then done on the main goroutine, unless the
// window was closed.
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

// showStatus shows a message in the status line until the next update.
func (w *Window) showStatus(err error, done string) {
	if err != nil {
		done = err.Error()
		if id, fix := api.Advice(err); id != "" {
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
		if name == r.Page || name == pageHome && (r.Page == pageReality || r.Page == pageTarget) {
			b.Importance = widget.HighImportance
		}
		b.Refresh()
	}
	w.view = pageOf(r.Page).open(w, r)
	w.body.Objects = []fyne.CanvasObject{container.NewPadded(w.view.object())}
	w.body.Refresh()
	w.update()
}

// Route returns the current route.
func (w *Window) Route() Route { return w.route }

type page struct {
	name, title string
	icon        func() fyne.Resource
	open        func(*Window, Route) view
}

// Names of pages in routes.
const (
	pageHome      = app.RouteHome
	pageReality   = app.RouteReality
	pageTarget    = app.RouteTarget
	pageBuilds    = "builds"
	pageTargets   = "targets"
	pageArtifacts = "artifacts"
	pageVMs       = "vms"
	pageCheck     = app.RouteCheck
	pageSettings  = "settings"
	pageEvidence  = "evidence"
)

var pages []page

func init() {
	pages = []page{
		{pageHome, "Home", theme.HomeIcon, newHome},
		{pageArtifacts, "Images", theme.StorageIcon, newArtifacts},
		{pageVMs, "VMs", theme.ComputerIcon, newVMs},
		{pageCheck, "Check an image", theme.ConfirmIcon, newCheckPage},
		{pageBuilds, "Activity", theme.ListIcon, newBuilds},
		{pageTargets, "Recipes", theme.DocumentIcon, newTargets},
		{pageSettings, "Settings", theme.SettingsIcon, newSettings},
	}
}

func pageOf(name string) page {
	for _, p := range pages {
		if p.name == name {
			return p
		}
	}
	switch name {
	case pageEvidence:
		return page{open: newEvidence}
	case pageReality:
		return page{open: newReality}
	case pageTarget:
		return page{open: newTargetPage}
	}
	return pages[0]
}
