package feed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"ingot/backend/api"
	"ingot/backend/client"
)

// played is a source that tells what the test sends.
type played struct {
	mu    sync.Mutex
	asked [][]string
	rows  []api.Row
	news  chan func(client.Watcher)
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

func (p *played) Status(_ context.Context, targets ...string) ([]api.Row, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, targets)
	var out []api.Row
	for _, r := range p.rows {
		if len(targets) == 0 || targets[0] == r.Target {
			out = append(out, r)
		}
	}
	return out, nil
}

func (p *played) event(e api.Event) {
	p.news <- func(w client.Watcher) { w.Event(e) }
}

func run(t *testing.T, p *played) *Feed {
	t.Helper()
	f := New(p)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

// until waits for a state.
func until(t *testing.T, f *Feed, what string, holds func(State) bool) State {
	t.Helper()
	changed, stop := f.Changed()
	defer stop()
	limit := time.After(time.Minute)
	for {
		if s := f.State(); holds(s) {
			return s
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%s did not come: %+v", what, f.State())
		}
	}
}

func TestFeed(t *testing.T) {
	p := &played{news: make(chan func(client.Watcher)), rows: []api.Row{{Target: "a"}, {Target: "b"}}}
	f := New(p)
	ended := make(chan api.Event, 1)
	f.OnFinished(func(e api.Event) { ended <- e })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	defer func() { cancel(); <-done }()
	if s := f.State(); s.Live || len(s.Rows) != 0 {
		t.Errorf("before any news: %+v", s)
	}
	p.news <- func(w client.Watcher) {
		w.Snapshot(api.Snapshot{Rows: []api.Row{{Target: "a"}, {Target: "b"}}})
	}
	until(t, f, "the snapshot", func(s State) bool { return s.Live && len(s.Rows) == 2 })
	p.event(api.Event{Kind: api.EventBuildQueued, Target: "a", Build: "1"})
	p.event(api.Event{Kind: api.EventBuildStarted, Target: "a", Build: "1", At: time.Unix(9, 0)})
	p.event(api.Event{Kind: api.EventStepStarted, Target: "a", Build: "1", Step: "kernel", Msg: "new"})
	p.event(api.Event{Kind: api.EventProgress, Target: "a", Build: "1", Step: "kernel", Done: 50, Total: 200, ETA: 7})
	s := until(t, f, "the progress", func(s State) bool { return len(s.Builds) == 1 && s.Builds[0].Done == 50 })
	b := s.Builds[0]
	if pc, ok := b.Percent(); !ok || pc != 25 || b.Step != "kernel" || b.ETA != 7*time.Second || b.Started.IsZero() || b.Msg != "new" {
		t.Errorf("%+v", b)
	}
	p.mu.Lock()
	p.rows[0].Kernel.State = api.Passed
	p.mu.Unlock()
	p.event(api.Event{Kind: api.EventBuildFinished, Target: "a", Build: "1", Outcome: api.OutcomePassed})
	until(t, f, "the row", func(s State) bool { return len(s.Builds) == 0 && s.Rows[0].Kernel.State == api.Passed })
	if e := <-ended; e.Build != "1" {
		t.Errorf("ended: %+v", e)
	}
	p.mu.Lock()
	p.rows = p.rows[1:]
	p.mu.Unlock()
	f.Refresh()
	until(t, f, "all rows", func(s State) bool { return len(s.Rows) == 1 })
	// the owner goes: what was known stays, marked as such
	p.news <- func(w client.Watcher) { w.Gone(errors.New("no owner")) }
	s = until(t, f, "the gap", func(s State) bool { return !s.Live })
	if s.Problem != "no owner" || len(s.Rows) != 1 {
		t.Errorf("%+v", s)
	}
}

// News that come fast fall together: few questions, few wake-ups.
func TestCoalesced(t *testing.T) {
	p := &played{news: make(chan func(client.Watcher)), rows: []api.Row{{Target: "a"}}}
	f := run(t, p)
	changed, stop := f.Changed()
	defer stop()
	for range 500 {
		p.event(api.Event{Kind: api.EventEvidence, Target: "a", Build: "1"})
	}
	p.event(api.Event{Kind: api.EventBuildFinished, Target: "a", Build: "1"})
	until(t, f, "the end", func(s State) bool { return len(s.Builds) == 0 && len(s.Rows) == 1 })
	woken := 0
	for {
		select {
		case <-changed:
			woken++
			continue
		default:
		}
		break
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if woken > 1 || len(p.asked) > 5 {
		t.Errorf("500 events: %d wake-ups wait, %d questions", woken, len(p.asked))
	}
}

// A step that has hardly begun has no ETA.
func TestNoEarlyETA(t *testing.T) {
	for done, want := range map[int64]time.Duration{0: 0, 4: 0, 5: time.Hour, 60: time.Hour} {
		var s State
		s.fold(api.Event{Kind: api.EventProgress, Build: "b", Step: "kernel", Done: done, Total: 100, ETA: 3600})
		if got := s.Builds[0].ETA; got != want {
			t.Errorf("at %d %%: %s, want %s", done, got, want)
		}
	}
}
