// Package feed holds what the faces show, folded from what an owner tells.
//
// A Feed is a client of the owner: its first news is a snapshot, then come
// deltas, and after a gap a snapshot again. Rows are never computed here: when
// something happened to a target, its row is asked for again. Faces read State
// and are woken through Changed; news that come faster than a face draws fall
// together into one.
package feed

import (
	"context"
	"slices"
	"sync"
	"time"

	"ingot/backend"
)

// Build is a build that runs or waits, with the newest progress of its step.
type Build struct {
	backend.ActiveBuild
	Msg         string
	Done, Total int64         // units of the step; Total 0 is not known
	ETA         time.Duration // of the step; 0 is not known
}

// Percent is how far the step is, and false where that is not known.
func (b Build) Percent() (int, bool) {
	if b.Total <= 0 {
		return 0, false
	}
	return int(min(100, 100*b.Done/b.Total)), true
}

// State is what holds now. Its slices are the reader's own.
type State struct {
	Live    bool   // an owner's stream is open; else the rest is what was last known
	Problem string // why there is none
	Owner   backend.OwnerInfo
	Rows    []backend.Row
	Builds  []Build // oldest first

	VMs       []backend.VM // the user's Lima instances
	VMProblem string       // why they are not known
}

// VM returns an instance by its name.
func (s State) VM(name string) (backend.VM, bool) {
	i := slices.IndexFunc(s.VMs, func(v backend.VM) bool { return v.Name == name })
	if i < 0 {
		return backend.VM{}, false
	}
	return s.VMs[i], true
}

// Row returns a target's row.
func (s State) Row(target string) (backend.Row, bool) {
	i := slices.IndexFunc(s.Rows, func(r backend.Row) bool { return r.Target == target })
	if i < 0 {
		return backend.Row{}, false
	}
	return s.Rows[i], true
}

// Source is what a feed reads: *backend.Client is one.
type Source interface {
	Watch(ctx context.Context, w backend.Watcher)
	Status(ctx context.Context, targets ...string) ([]backend.Row, error)
}

// VMSource is a Source that also knows the user's VMs, whoever starts and stops
// them; see backend.WatchVMs.
type VMSource interface {
	WatchVMs(ctx context.Context, news func([]backend.VM, error)) error
}

// Feed folds news into a State. Its methods may be called from several
// goroutines.
type Feed struct {
	src Source

	mu       sync.Mutex
	state    State
	wake     map[chan struct{}]struct{}
	finished []func(backend.Event)
	dirty    map[string]bool // targets whose rows are to be asked for
	all      bool
	ask      chan struct{}
}

// New makes a feed; Run fills it.
func New(src Source) *Feed {
	return &Feed{src: src, wake: map[chan struct{}]struct{}{}, dirty: map[string]bool{}, ask: make(chan struct{}, 1)}
}

// OnFinished calls f for every build that ends while the feed runs, from the
// feed's goroutine. To be called before Run.
func (f *Feed) OnFinished(fn func(backend.Event)) { f.finished = append(f.finished, fn) }

// State returns what holds now.
func (f *Feed) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Rows, s.Builds, s.VMs = slices.Clone(s.Rows), slices.Clone(s.Builds), slices.Clone(s.VMs)
	return s
}

// Changed returns a channel that gets one value when something changed since
// it was last read, and a function that ends it.
func (f *Feed) Changed() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake[c] = struct{}{}
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.wake, c)
	}
}

// Refresh asks for all rows again: what lies on disk may have changed without
// any build.
func (f *Feed) Refresh() {
	f.mu.Lock()
	f.all = true
	f.mu.Unlock()
	poke(f.ask)
}

// Run watches until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	var asker sync.WaitGroup
	asker.Go(func() { f.askRows(ctx) })
	if vms, ok := f.src.(VMSource); ok {
		asker.Go(func() { f.watchVMs(ctx, vms) })
	}
	f.src.Watch(ctx, backend.Watcher{Snapshot: f.snapshot, Event: f.event, Gone: f.gone})
	asker.Wait()
}

// vmPause is the time before the VMs are watched again after that failed.
const vmPause = 10 * time.Second

func (f *Feed) watchVMs(ctx context.Context, src VMSource) {
	for {
		err := src.WatchVMs(ctx, f.vms)
		if ctx.Err() != nil {
			return
		}
		f.vms(nil, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(vmPause):
		}
	}
}

func (f *Feed) vms(list []backend.VM, err error) {
	f.change(func(s *State) {
		s.VMs, s.VMProblem = list, ""
		if err != nil {
			s.VMProblem = err.Error()
		}
	})
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// change lets fn change the state and wakes the faces.
func (f *Feed) change(fn func(s *State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(&f.state)
	for c := range f.wake {
		poke(c)
	}
}

func (f *Feed) gone(err error) {
	f.change(func(s *State) { s.Live, s.Problem = false, err.Error() })
}

func (f *Feed) snapshot(n backend.Snapshot) {
	f.change(func(s *State) {
		old := s.Builds
		*s = State{Live: true, Owner: n.Owner, Rows: n.Rows, VMs: s.VMs, VMProblem: s.VMProblem}
		for _, a := range n.Owner.Builds {
			b := Build{ActiveBuild: a}
			if i := slices.IndexFunc(old, func(o Build) bool { return o.ID == a.ID && o.Step == a.Step }); i >= 0 {
				b = old[i]
			}
			s.Builds = append(s.Builds, b)
		}
	})
}

func (f *Feed) event(e backend.Event) {
	f.change(func(s *State) { s.fold(e) })
	switch e.Kind {
	case backend.EventProgress, backend.EventNote:
		return
	case backend.EventBuildFinished:
		for _, fn := range f.finished {
			fn(e)
		}
	}
	f.mu.Lock()
	f.dirty[e.Target] = true
	f.mu.Unlock()
	poke(f.ask)
}

// fold takes an event into the list of builds.
func (s *State) fold(e backend.Event) {
	i := slices.IndexFunc(s.Builds, func(b Build) bool { return b.ID == e.Build })
	if e.Kind == backend.EventBuildFinished {
		if i >= 0 {
			s.Builds = slices.Delete(s.Builds, i, i+1)
		}
		return
	}
	if i < 0 {
		s.Builds = append(s.Builds, Build{ActiveBuild: backend.ActiveBuild{ID: e.Build, Target: e.Target}})
		i = len(s.Builds) - 1
	}
	b := &s.Builds[i]
	switch e.Kind {
	case backend.EventBuildQueued:
	case backend.EventBuildStarted:
		b.Started = e.At
	case backend.EventStepStarted:
		*b = Build{ActiveBuild: b.ActiveBuild, Msg: e.Msg}
		b.Step = e.Step
	case backend.EventProgress:
		b.Step, b.Done, b.Total, b.ETA = e.Step, e.Done, e.Total, time.Duration(e.ETA)*time.Second
		if e.Msg != "" {
			b.Msg = e.Msg
		}
	case backend.EventNote:
		b.Msg = e.Msg
	}
}

// rowsPause lets news fall together: rows are asked for this often at most.
const rowsPause = 200 * time.Millisecond

// askRows asks for the rows of targets to which something happened.
func (f *Feed) askRows(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.ask:
		}
		f.mu.Lock()
		var names []string
		for n := range f.dirty {
			names = append(names, n)
		}
		if f.all {
			names = nil
		}
		clear(f.dirty)
		f.all = false
		f.mu.Unlock()
		rows, err := f.src.Status(ctx, names...)
		if err == nil { // else the stream tells what is wrong
			f.change(func(s *State) { s.take(rows, names == nil) })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rowsPause):
		}
	}
}

// take puts rows in the place of the old ones.
func (s *State) take(rows []backend.Row, all bool) {
	if all {
		s.Rows = rows
		return
	}
	for _, r := range rows {
		if i := slices.IndexFunc(s.Rows, func(o backend.Row) bool { return o.Target == r.Target }); i >= 0 {
			s.Rows[i] = r
		} else {
			s.Rows = append(s.Rows, r)
		}
	}
}
