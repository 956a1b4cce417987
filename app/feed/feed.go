// Package feed maintains the state that the menu and the window show.
//
// A Feed is a client of the owner: it receives a snapshot, then events, and
// after a gap another snapshot. Rows are not computed here: after an event
// about a target, its row is requested again. Views read State and wait on
// Changed, which combines events that arrive faster than the view draws.
package feed

import (
	"context"
	"slices"
	"sync"
	"time"

	"ingot/backend/api"
	"ingot/backend/client"
	"ingot/backend/vm"
)

// Build is a build that is running or waiting, with the latest progress of its
// step.
type Build struct {
	api.ActiveBuild
	Msg         string
	Done, Total int64         // units of the step; Total 0 is unknown
	ETA         time.Duration // of the step; 0 is unknown
}

// etaFrom is the percentage of a step from which on its ETA means something: before it,
// hours and minutes follow each other.
const etaFrom = 5

// Percent returns the progress of the step, and false if it is unknown.
func (b Build) Percent() (int, bool) {
	if b.Total <= 0 {
		return 0, false
	}
	return int(min(100, 100*b.Done/b.Total)), true
}

// State is the current state. The reader owns its slices.
type State struct {
	Live    bool   // connected to an owner; if not, the other fields are the last known ones
	Problem string // why there is no connection
	Owner   api.OwnerInfo
	Rows    []api.Row
	Builds  []Build // oldest first

	VMs       []vm.Instance // the user's Lima instances
	VMProblem string        // why they are unknown
}

// VM returns the instance with a name.
func (s State) VM(name string) (vm.Instance, bool) {
	i := slices.IndexFunc(s.VMs, func(v vm.Instance) bool { return v.Name == name })
	if i < 0 {
		return vm.Instance{}, false
	}
	return s.VMs[i], true
}

// Row returns the row of a target.
func (s State) Row(target string) (api.Row, bool) {
	i := slices.IndexFunc(s.Rows, func(r api.Row) bool { return r.Target == target })
	if i < 0 {
		return api.Row{}, false
	}
	return s.Rows[i], true
}

// Build returns the build of a target that is running or waiting.
func (s State) Build(target string) (Build, bool) {
	i := slices.IndexFunc(s.Builds, func(b Build) bool { return b.Target == target })
	if i < 0 {
		return Build{}, false
	}
	return s.Builds[i], true
}

// Source is what a feed reads; *client.Client implements it.
type Source interface {
	Watch(ctx context.Context, w client.Watcher)
	Status(ctx context.Context, targets ...string) ([]api.Row, error)
}

// VMSource is a Source that also reports the user's VMs.
type VMSource interface {
	WatchVMs(ctx context.Context, news func([]vm.Instance, error)) error
}

// Feed maintains a State. Its methods are safe for concurrent use.
type Feed struct {
	src Source

	mu       sync.Mutex
	state    State
	wake     map[chan struct{}]struct{}
	finished []func(api.Event)
	dirty    map[string]bool // targets whose rows must be requested
	all      bool
	ask      chan struct{}
}

// New returns a feed; Run fills it.
func New(src Source) *Feed {
	return &Feed{src: src, wake: map[chan struct{}]struct{}{}, dirty: map[string]bool{}, ask: make(chan struct{}, 1)}
}

// OnFinished registers a function that the feed's goroutine calls for every
// build that ends. It must be called before Run.
func (f *Feed) OnFinished(fn func(api.Event)) { f.finished = append(f.finished, fn) }

// State returns the current state.
func (f *Feed) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Rows, s.Builds, s.VMs = slices.Clone(s.Rows), slices.Clone(s.Builds), slices.Clone(s.VMs)
	return s
}

// Changed returns a channel that receives a value after a change, at most one
// at a time, and a function that closes it.
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

// Refresh requests all rows again, since files may have changed without a
// build.
func (f *Feed) Refresh() {
	f.mu.Lock()
	f.all = true
	f.mu.Unlock()
	poke(f.ask)
}

// Run watches the source until ctx is done.
func (f *Feed) Run(ctx context.Context) {
	var asker sync.WaitGroup
	asker.Go(func() { f.askRows(ctx) })
	if vms, ok := f.src.(VMSource); ok {
		asker.Go(func() { f.watchVMs(ctx, vms) })
	}
	f.src.Watch(ctx, client.Watcher{Snapshot: f.snapshot, Event: f.event, Gone: f.gone})
	asker.Wait()
}

// vmPause is the time after a failure before the VMs are watched again.
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

func (f *Feed) vms(list []vm.Instance, err error) {
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

// change applies fn to the state and wakes the views.
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

func (f *Feed) snapshot(n api.Snapshot) {
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

func (f *Feed) event(e api.Event) {
	f.change(func(s *State) { s.fold(e) })
	switch e.Kind {
	case api.EventProgress, api.EventNote:
		return
	case api.EventBuildFinished:
		for _, fn := range f.finished {
			fn(e)
		}
	}
	f.mu.Lock()
	f.dirty[e.Target] = true
	f.mu.Unlock()
	poke(f.ask)
}

// fold applies an event to the list of builds.
func (s *State) fold(e api.Event) {
	i := slices.IndexFunc(s.Builds, func(b Build) bool { return b.ID == e.Build })
	if e.Kind == api.EventBuildFinished {
		if i >= 0 {
			s.Builds = slices.Delete(s.Builds, i, i+1)
		}
		return
	}
	if i < 0 {
		s.Builds = append(s.Builds, Build{ActiveBuild: api.ActiveBuild{ID: e.Build, Target: e.Target}})
		i = len(s.Builds) - 1
	}
	b := &s.Builds[i]
	switch e.Kind {
	case api.EventBuildQueued:
	case api.EventBuildStarted:
		b.Started = e.At
	case api.EventStepStarted:
		*b = Build{ActiveBuild: b.ActiveBuild, Msg: e.Msg}
		b.Step = e.Step
	case api.EventProgress:
		b.Step, b.Done, b.Total, b.ETA = e.Step, e.Done, e.Total, time.Duration(e.ETA)*time.Second
		if p, ok := b.Percent(); ok && p < etaFrom {
			b.ETA = 0
		}
		if e.Msg != "" {
			b.Msg = e.Msg
		}
	case api.EventNote:
		b.Msg = e.Msg
	}
}

// rowsPause is the minimal time between two requests for rows.
const rowsPause = 200 * time.Millisecond

// askRows requests the rows of targets for which there were events.
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
		if err == nil { // the stream reports the problem otherwise
			f.change(func(s *State) { s.take(rows, names == nil) })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rowsPause):
		}
	}
}

// take replaces rows by newer ones.
func (s *State) take(rows []api.Row, all bool) {
	if all {
		s.Rows = rows
		return
	}
	for _, r := range rows {
		if i := slices.IndexFunc(s.Rows, func(o api.Row) bool { return o.Target == r.Target }); i >= 0 {
			s.Rows[i] = r
		} else {
			s.Rows = append(s.Rows, r)
		}
	}
}
