package window

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
	"ingot/backend/client"
	"ingot/backend/doctor"
	"ingot/backend/status"
	"ingot/backend/vm"
)

// played is an owner's stream that the test sends, and the backend's actions as
// they were asked for.
type played struct {
	*ledger
	news chan func(client.Watcher)
	vms  []vm.Instance

	mend func(ctx context.Context, note func(string)) error

	mu    sync.Mutex
	asked []string
	fail  error
}

func (p *played) note(format string, a ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, fmt.Sprintf(format, a...))
	return p.fail
}

func (p *played) KeepPreferences(c app.Preferences) error {
	return p.note("preferences quiet=%v", c.Quiet)
}

func (p *played) notes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *played) Watch(ctx context.Context, w client.Watcher) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-p.news:
			n(w)
		}
	}
}

func (p *played) WatchVMs(ctx context.Context, news func([]vm.Instance, error)) error {
	news(p.vms, nil)
	<-ctx.Done()
	return nil
}

func (p *played) Status(context.Context, ...string) ([]api.Row, error) { return p.rows, nil }

func (p *played) Submit(_ context.Context, s api.Submission) (string, error) {
	return "20260102-000000-abcd", p.note("submit %s until=%s force=%v", s.Target, s.Until, s.Force)
}
func (p *played) Cancel(_ context.Context, id string) error { return p.note("cancel %s", id) }
func (p *played) Validate(t string) error                   { return p.note("validate %s", t) }
func (p *played) Fork(_ context.Context, t, as string) (string, error) {
	return "/config/targets/" + as + ".yaml", p.note("fork %s %s", t, as)
}
func (p *played) Export(_ context.Context, t, format, dst string, _ func(int64, int64)) error {
	return p.note("export %s %s %s", t, format, dst)
}
func (p *played) HandOut(a status.ArtifactInfo) (string, error) {
	return a.Path, p.note("hand out %s", a.Name)
}
func (p *played) Mend(ctx context.Context, note func(string)) (doctor.Report, error) {
	if err := p.note("mend"); err != nil || p.mend == nil {
		return doctor.Report{}, err
	}
	return doctor.Report{}, p.mend(ctx, note)
}
func (p *played) SetGuest(_ context.Context, name string) error { return p.note("guest %s", name) }
func (p *played) SetDestination(_ context.Context, d Destination) error {
	return p.note("destination %s %s %s %s", d.Endpoint, d.Bucket, d.Prefix, d.PublicURL)
}
func (p *played) KeepCredentials(_ context.Context, e, access, key string) (string, error) {
	return "", p.note("credentials %s %s %d", e, access, len(key))
}
func (p *played) ProbeEndpoint(context.Context) (string, []api.Ability, error) {
	return "", []api.Ability{{Name: "create only", Why: "nothing is overwritten", Seen: "it was overwritten"}}, p.note("probe")
}
func (p *played) Prove(ctx context.Context, file string, notify func(string)) (string, error) {
	if filepath.Base(file) == "slow.qcow2" {
		notify("seeded boot: kernel at 9 s")
		<-ctx.Done()
		return "", ctx.Err()
	}
	return "proof-1", p.note("prove %s", filepath.Base(file))
}
func (p *played) Verify(_ context.Context, address, key string, _ func(string)) (string, error) {
	return "proof-2", p.note("verify %s %s", address, key)
}

func (p *played) VMStart(_ context.Context, name string) error { return p.note("start %s", name) }
func (p *played) VMStop(_ context.Context, name string) error  { return p.note("stop %s", name) }
func (p *played) VMExport(_ context.Context, o vm.ExportOptions) (vm.Exported, error) {
	return vm.Exported{}, p.note("export %s %s stop=%v", o.Name, filepath.Base(o.File), o.Stop)
}
func (p *played) VMImagePlan(_ context.Context, name string) (vm.ImagePlan, error) {
	if name == "wreck" {
		return vm.ImagePlan{}, errors.New("it cannot be copied")
	}
	return vm.ImagePlan{Name: name, Method: "direct", Room: 5 << 30, Free: 78 << 30, Rules: []vm.SanitiseRule{
		{ID: "host-keys", What: "host keys", Always: true}, {ID: "keys", What: "everybody's keys, tokens and passwords"}, {ID: "logs", What: "logs"},
		{ID: "package-cache", What: "packages that were fetched and are installed", Optional: true},
	}, Found: &vm.Sanitised{Stays: []vm.SanitisedItem{{Rule: "package-cache", Files: 210, Size: 410 << 20}}}}, nil
}
func (p *played) VMImage(_ context.Context, o vm.ImageOptions, publish bool) (string, error) {
	return "", p.note("image %s %s %s keep=%v also=%v publish=%v", o.Instance, o.Name, o.Format, o.Sanitise.Keep, o.Sanitise.Also, publish)
}
func (p *played) VMShell(_ context.Context, name string) (argv, environ []string, err error) {
	return []string{"limactl", "shell", name}, nil, nil
}

// Desktop
func (p *played) StartDrag(_ fyne.Window, file string, ended func(bool, error)) error {
	defer ended(true, nil)
	return p.note("drag %s", filepath.Base(file))
}
func (p *played) OpenTerminal(argv, _ []string) error {
	return p.note("terminal %s", strings.Join(argv, " "))
}
func (p *played) Reveal(file string) error   { return p.note("reveal %s", filepath.Base(file)) }
func (p *played) Open(file string) error     { return p.note("open %s", filepath.Base(file)) }
func (p *played) Autostart() (bool, error)   { return false, nil }
func (p *played) SetAutostart(on bool) error { return p.note("autostart %v", on) }

// stage is a window in a test: everything that touches it runs on one goroutine,
// as in an application, so that the race detector sees what does not.
type stage struct {
	*Window
	t    *testing.T
	todo chan func()
	feed *feed.Feed
}

// on runs f on the main goroutine and waits.
func (s *stage) on(f func()) {
	s.t.Helper()
	done := make(chan struct{})
	s.todo <- func() { defer close(done); f() }
	<-done
}

// onStage is whether there is a stage: Fyne has one main goroutine, and what its
// windows share is guarded by nothing else.
var onStage atomic.Bool

// shown opens the window at a route, with what an owner tells. A test has one at a
// time.
func shown(t *testing.T, p *played, route string, news api.Snapshot, more ...api.Event) *stage {
	t.Helper()
	if onStage.Swap(true) {
		t.Fatal("a second window beside the first: give each a subtest")
	}
	s := &stage{t: t, todo: make(chan func(), 1000)}
	app := test.NewTempApp(t)
	ctx, cancel := context.WithCancel(context.Background())
	var loop, feeding sync.WaitGroup
	loop.Go(func() {
		for f := range s.todo {
			f()
		}
	})
	s.feed = feed.New(p)
	feeding.Go(func() { s.feed.Run(ctx) })
	p.play(func(w client.Watcher) { w.Snapshot(news) })
	if p.progress != nil {
		more = append(more, *p.progress)
	}
	for _, e := range more {
		p.play(func(w client.Watcher) { w.Event(e) })
	}
	s.on(func() {
		app.Settings().SetTheme(look.Theme{})
		s.Window = newWindow(app, p, p, s.feed, func(f func()) { s.todo <- f })
		s.Resize(fyne.NewSize(1100, 700))
	})
	t.Cleanup(func() {
		s.on(s.Close)
		cancel()
		feeding.Wait()
		s.Wait()
		close(s.todo)
		loop.Wait()
		onStage.Store(false)
	})
	r, err := ParseRoute(route)
	if err != nil {
		t.Fatal(err)
	}
	s.on(func() { s.Go(r) })
	return s
}

// play sends the feed news and returns when the feed has folded them.
func (p *played) play(n func(client.Watcher)) {
	done := make(chan struct{})
	p.news <- func(w client.Watcher) { n(w); close(done) }
	<-done
}

func (s *stage) capture() *image.NRGBA {
	var img image.Image
	s.on(func() { img = s.Canvas().Capture() })
	return img.(*image.NRGBA)
}

// settled waits until the picture stays as it is.
func (s *stage) settled() *image.NRGBA {
	s.t.Helper()
	old := s.capture()
	for same, end := 0, time.Now().Add(30*time.Second); same < 3; {
		time.Sleep(2 * framePause / 3)
		img := s.capture()
		same++
		if img.Rect != old.Rect || !bytes.Equal(img.Pix, old.Pix) {
			same = 0
		}
		old = img
		if time.Now().After(end) {
			s.t.Fatal("the window never stands still")
		}
	}
	return old
}

// walk calls f for every object of the window that is shown.
func (s *stage) walk(f func(fyne.CanvasObject)) {
	var visit func(o fyne.CanvasObject)
	visit = func(o fyne.CanvasObject) {
		if o == nil || !o.Visible() {
			return
		}
		f(o)
		switch o := o.(type) {
		case *fyne.Container:
			for _, c := range o.Objects {
				visit(c)
			}
		case fyne.Widget:
			for _, c := range test.WidgetRenderer(o).Objects() {
				visit(c)
			}
		}
	}
	visit(s.Content())
	for _, o := range s.Canvas().Overlays().List() { // dialogs
		visit(o)
	}
}

// texts is what can be read in the window.
func (s *stage) texts() string {
	var all []string
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			switch o := o.(type) {
			case *widget.Label:
				all = append(all, o.Text)
			case *canvas.Text:
				all = append(all, o.Text)
			case *logLine:
				all = append(all, o.text)
			}
		})
	})
	return strings.Join(all, "\n")
}

// until waits until the window shows a text.
func (s *stage) until(text string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(s.texts(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%q is not shown; there is:\n%s", text, s.texts())
		}
	}
}

// tap presses the button of that label.
func (s *stage) tap(label string) {
	s.t.Helper()
	found := false
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			if b, ok := o.(*widget.Button); ok && b.Text == label && !found {
				found = true
				if b.Disabled() {
					s.t.Errorf("button %q is disabled", label)
				}
				test.Tap(b)
			}
		})
	})
	if !found {
		s.t.Fatalf("there is no button %q", label)
	}
}

// asked waits until the backend or the desktop was asked for what.
func (s *stage) asked(p *played, what string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !slices.Contains(p.notes(), what); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%q was not asked for, but %q", what, p.notes())
		}
	}
}
