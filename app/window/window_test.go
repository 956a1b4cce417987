package window

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"ingot/app/feed"
	"ingot/backend"
)

// played is an owner's stream that the test sends, and the backend's actions as
// they were asked for.
type played struct {
	*ledger
	news chan func(backend.Watcher)

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

func (p *played) notes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *played) Watch(ctx context.Context, w backend.Watcher) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-p.news:
			n(w)
		}
	}
}

func (p *played) Status(context.Context, ...string) ([]backend.Row, error) { return p.rows, nil }

func (p *played) Submit(_ context.Context, s backend.Submission) (string, error) {
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
func (p *played) HandOut(a backend.ArtifactInfo) (string, error) {
	return a.Path, p.note("hand out %s", a.Name)
}
func (p *played) KeepCredentials(_ context.Context, e, access, key string) (string, error) {
	return "", p.note("credentials %s %s %d", e, access, len(key))
}
func (p *played) Prove(_ context.Context, file string, _ func(string)) (string, error) {
	return "proof-1", p.note("prove %s", filepath.Base(file))
}

// Desktop
func (p *played) Drag(_ fyne.Window, file string) error { return p.note("drag %s", filepath.Base(file)) }
func (p *played) Reveal(file string) error              { return p.note("reveal %s", filepath.Base(file)) }
func (p *played) Open(file string) error                { return p.note("open %s", filepath.Base(file)) }
func (p *played) Autostart() (bool, error)              { return false, nil }
func (p *played) SetAutostart(on bool) error            { return p.note("autostart %v", on) }

// shown opens the window on a page, with a feed that plays s.
func shown(t *testing.T, p *played, route string, s backend.Snapshot, more ...backend.Event) *Window {
	t.Helper()
	app := test.NewTempApp(t)
	f := feed.New(p)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	p.news <- func(w backend.Watcher) { w.Snapshot(s) }
	for _, e := range more {
		p.news <- func(w backend.Watcher) { w.Event(e) }
	}
	w := New(app, p, p, f)
	t.Cleanup(func() {
		w.Close()
		cancel()
		<-done
		w.Wait()
	})
	w.Resize(fyne.NewSize(1100, 700))
	r, err := ParseRoute(route)
	if err != nil {
		t.Fatal(err)
	}
	fyne.DoAndWait(func() { w.Go(r) })
	return w
}

func capture(w *Window) image.Image {
	var img image.Image
	fyne.DoAndWait(func() { img = w.Canvas().Capture() })
	return img
}

// settled waits until the picture stays.
func settled(t *testing.T, w *Window) image.Image {
	t.Helper()
	old := capture(w)
	for same, end := 0, time.Now().Add(20*time.Second); same < 3; {
		time.Sleep(60 * time.Millisecond)
		img := capture(w)
		if equalImages(old, img) {
			same++
		} else {
			same = 0
		}
		old = img
		if time.Now().After(end) {
			t.Fatal("the window never stands still")
		}
	}
	return old
}

func equalImages(a, b image.Image) bool {
	x, y := a.(*image.NRGBA), b.(*image.NRGBA)
	return x.Rect == y.Rect && string(x.Pix) == string(y.Pix)
}

var _ = []any{errors.New, os.Stat, strings.Contains, theme.DarkTheme}
