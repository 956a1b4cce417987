package tray

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ingot/app/feed"
	"ingot/backend/api"
	"ingot/backend/client"
)

// told is a source of news that the test sends.
type told struct{ news chan func(client.Watcher) }

func (s told) Watch(ctx context.Context, w client.Watcher) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-s.news:
			n(w)
		}
	}
}

func (told) Status(context.Context, ...string) ([]api.Row, error) { return nil, errors.New("no") }

// seen is a view that keeps what it was told.
type seen struct {
	mu              sync.Mutex
	builds, changes int
	menu            Menu
	clicks          chan string
	opened, closed  chan struct{}
}

func newSeen() *seen {
	return &seen{clicks: make(chan string), opened: make(chan struct{}), closed: make(chan struct{})}
}

func (v *seen) Build(m Menu) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.builds++
	v.menu.Items = m.Items
}

func (v *seen) Change(items []Item) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changes++
	v.menu.Items = apply(v.menu.Items, items)
}

func (v *seen) Look(Icon, string)       {}
func (v *seen) Clicks() <-chan string   { return v.clicks }
func (v *seen) Opened() <-chan struct{} { return v.opened }
func (v *seen) Closed() <-chan struct{} { return v.closed }

func (v *seen) label(id string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return shown(v.menu.Items)[id].Label
}

func (v *seen) counts() (builds, changes int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.builds, v.changes
}

// acts is an actor that fails when told to.
type acts struct {
	mu   sync.Mutex
	did  []Action
	fail error
}

func (a *acts) Do(_ context.Context, act Action) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.did = append(a.did, act)
	return a.fail
}

func (*acts) Doing(Action) string { return "" }

// scene runs a controller in a bubble of its own time.
func scene(t *testing.T, play func(t *testing.T, s told, v *seen, a *acts, ended *bool)) {
	synctest.Test(t, func(t *testing.T) {
		s, v, a, ended := told{make(chan func(client.Watcher))}, newSeen(), &acts{}, false
		f := feed.New(s)
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { f.Run(ctx) })
		c := &Controller{Feed: f, View: v, Actor: a, Ended: func() { ended = true }}
		work.Go(func() { c.Run(ctx) })
		play(t, s, v, a, &ended)
		cancel()
		work.Wait()
	})
}

func (s told) rows(rows ...api.Row) {
	s.news <- func(w client.Watcher) { w.Snapshot(api.Snapshot{Rows: rows}) }
}

func (s told) event(e api.Event) { s.news <- func(w client.Watcher) { w.Event(e) } }

// 500 changes a second of the menu's structure are few rebuilds, and the last
// state is shown.
func TestStormOfChanges(t *testing.T) {
	scene(t, func(t *testing.T, s told, v *seen, _ *acts, _ *bool) {
		const seconds, perSecond = 4, 500
		for i := range seconds * perSecond {
			rows := make([]api.Row, 1+i%7) // another structure each time
			for j := range rows {
				rows[j].Target = fmt.Sprintf("t%d-%d", i, j)
			}
			s.rows(rows...)
			time.Sleep(time.Second / perSecond)
		}
		builds, _ := v.counts()
		if builds > 5*seconds || builds < seconds-1 {
			t.Errorf("%d rebuilds in %d s", builds, seconds)
		}
		s.rows(api.Row{Target: "last"})
		time.Sleep(2 * rebuildPause)
		if v.label("make/last") != "last · not built" {
			t.Error("the last state is not shown")
		}
	})
}

// Progress changes labels in place, a few times a second, and rebuilds nothing.
func TestProgressInPlace(t *testing.T) {
	scene(t, func(t *testing.T, s told, v *seen, _ *acts, _ *bool) {
		s.rows(api.Row{Target: "a"})
		s.event(api.Event{Kind: api.EventStepStarted, Target: "a", Build: "1", Step: "kernel"})
		time.Sleep(3 * rebuildPause)
		before, changed := v.counts()
		for i := range 500 {
			s.event(api.Event{Kind: api.EventProgress, Target: "a", Build: "1", Step: "kernel", Done: int64(i), Total: 499})
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Second)
		after, changes := v.counts()
		if after != before || changes-changed > 6 || changes == changed {
			t.Errorf("%d rebuilds, %d changes of labels", after-before, changes-changed)
		}
		if got := v.label("build/1"); got != "a · kernel · 100 %" {
			t.Errorf("%q", got)
		}
	})
}

// An open menu keeps its items: labels change, what ended is off, and what is
// new comes when the menu is closed.
func TestOpenMenuIsNotRebuilt(t *testing.T) {
	scene(t, func(t *testing.T, s told, v *seen, _ *acts, _ *bool) {
		s.rows(api.Row{Target: "a"}, api.Row{Target: "b"})
		time.Sleep(3 * rebuildPause)
		v.opened <- struct{}{}
		before, _ := v.counts()
		s.rows(api.Row{Target: "b", Boots: passed()}, api.Row{Target: "c"})
		time.Sleep(5 * time.Second)
		if now, _ := v.counts(); now != before {
			t.Error("the open menu was built anew")
		}
		if v.label("make/b") != "b · boots" || !shown(v.menu.Items)["make/a"].Disabled || v.label("make/c") != "" {
			t.Errorf("%+v", v.menu.Items)
		}
		v.closed <- struct{}{}
		synctest.Wait()
		time.Sleep(relabelPause)
		if v.label("make/c") == "" || v.label("make/a") != "" {
			t.Error("the closed menu was not built anew")
		}
		// where nobody tells that it was closed, it counts as closed after a while
		v.opened <- struct{}{}
		s.rows(api.Row{Target: "d"})
		time.Sleep(openFor + rebuildPause)
		if v.label("make/d") == "" {
			t.Error("a menu stays open for ever")
		}
	})
}

// A failed action is a line of the menu until it is clicked; Quit ends it.
func TestClicks(t *testing.T) {
	scene(t, func(t *testing.T, s told, v *seen, a *acts, ended *bool) {
		s.rows(api.Row{Target: "a"})
		time.Sleep(3 * rebuildPause)
		a.fail = errors.New("the disk is full:\nfree some space")
		v.clicks <- "make/a"
		time.Sleep(3 * rebuildPause)
		if got := v.label("error"); got != "✗ a: the disk is full: free some space" {
			t.Errorf("%q", got)
		}
		v.clicks <- "error"
		time.Sleep(3 * rebuildPause)
		if got := v.label("error"); got != "" {
			t.Errorf("%q stays", got)
		}
		v.clicks <- "images" // is off
		v.clicks <- "target/none/build"
		v.clicks <- "summary"
		synctest.Wait()
		if len(a.did) != 1 || a.did[0] != (Action{Build, "a", ""}) {
			t.Errorf("done: %+v", a.did)
		}
		v.clicks <- "quit"
		synctest.Wait()
		if *ended { // the actor still fails
			t.Error("it ended although the action failed")
		}
		a.mu.Lock()
		a.fail = nil
		a.mu.Unlock()
		v.clicks <- "quit"
		synctest.Wait()
		if !*ended {
			t.Error("Quit does not end it")
		}
	})
}
