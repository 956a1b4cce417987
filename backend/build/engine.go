package build

import (
	"context"
	"slices"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
)

// work is how a step of a plan runs. The functions get the outputs of the steps that it
// needs.
type work struct {
	// todo reports whether run will make something, and so whether the steps on demand
	// must run for it. nil means always.
	todo func(ctx context.Context, got map[string]outputs.Output) (bool, error)
	run  func(ctx context.Context, got map[string]outputs.Output) (outputs.Output, error)
	// mayFail lets the steps that need this one run even if it failed.
	mayFail bool
}

// engine runs the steps of a plan: each as soon as the steps that it needs are done,
// concurrently if they do not need each other. The first failure cancels the others.
type engine struct {
	plan   Plan
	works  map[string]work
	wanted func(step string) bool // whether the build includes the step
	forced func(step string) bool // whether a step on demand runs in any case
	// prepare is called before steps start, and never concurrently.
	prepare func(ctx context.Context, ready []Step) error

	state map[string]state
	todo  map[string]bool // results of the steps' todo
	got   map[string]outputs.Output
}

type state int

const (
	waiting state = iota
	running
	ended
)

// ending is the end of one step.
type ending struct {
	step string
	out  outputs.Output
	err  error
}

// run runs the plan to its end and returns the outputs by step. Everything that it
// started has ended when it returns.
func (e *engine) run(ctx context.Context) (map[string]outputs.Output, error) {
	e.state, e.todo, e.got = map[string]state{}, map[string]bool{}, map[string]outputs.Output{}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		endings = make(chan ending)
		active  int
		failed  error
	)
	fail := func(step string, err error) {
		if err != nil && failed == nil {
			failed = err
			cancel(&record.StoppedError{By: step})
		}
	}
	for {
		if failed == nil {
			ready, err := e.ready(ctx)
			if err == nil {
				err = e.prepare(ctx, ready)
			}
			if fail("", err); err == nil {
				for _, s := range ready {
					e.start(ctx, s, endings)
					active++
				}
			}
		}
		if active == 0 {
			return e.got, failed
		}
		end := <-endings
		active--
		e.state[end.step] = ended
		e.got[end.step] = end.out
		if !e.works[end.step].mayFail {
			fail(end.step, end.err)
		}
	}
}

// start runs one step in a goroutine, which sends its ending.
func (e *engine) start(ctx context.Context, s Step, endings chan<- ending) {
	e.state[s.Name] = running
	got := map[string]outputs.Output{}
	for _, n := range s.Needs {
		got[n] = e.got[n]
	}
	go func() {
		out, err := e.works[s.Name].run(ctx, got)
		endings <- ending{s.Name, out, err}
	}()
}

// ready returns the steps that can start now, in the plan's order.
func (e *engine) ready(ctx context.Context) ([]Step, error) {
	for _, s := range e.plan.Steps {
		if err := e.ask(ctx, s); err != nil {
			return nil, err
		}
	}
	var out []Step
	for _, s := range e.plan.Steps {
		if e.state[s.Name] == waiting && e.asked(s) && e.met(s, true) {
			out = append(out, s)
		}
	}
	return out, nil
}

// ask calls todo of a step that needs others on demand: at once if its inputs are known
// from the beginning, else when the steps that give them are done. If todo returns an
// error, the step has failed.
func (e *engine) ask(ctx context.Context, s Step) error {
	if _, known := e.todo[s.Name]; known || s.OnDemand || s.Inputs == nil && (!e.wanted(s.Name) || !e.met(s, false)) {
		return nil
	}
	todo, err := true, error(nil)
	if f := e.works[s.Name].todo; f != nil {
		todo, err = f(ctx, e.got)
	}
	e.todo[s.Name] = todo
	if err != nil && e.works[s.Name].mayFail {
		e.state[s.Name], e.todo[s.Name], err = ended, false, nil
	}
	return err
}

// asked reports whether a step should run: the build includes it and, if it is on
// demand, a step that needs it has something to do.
func (e *engine) asked(s Step) bool {
	if !s.OnDemand {
		return e.wanted(s.Name)
	}
	var users []string
	demanded := e.forced(s.Name)
	for _, u := range e.plan.Steps {
		if slices.Contains(u.Needs, s.Name) {
			users = append(users, u.Name)
			demanded = demanded || e.todo[u.Name]
		}
	}
	return demanded && (e.wanted(s.Name) || slices.ContainsFunc(users, e.wanted))
}

// met reports whether the steps that s needs have ended: all of them, but with onDemand
// those on demand only if s has something to do.
func (e *engine) met(s Step, onDemand bool) bool {
	for _, n := range s.Needs {
		need, _ := e.plan.Step(n)
		if need.OnDemand && (!onDemand || !e.todo[s.Name] && e.state[n] != running) {
			continue
		}
		if e.state[n] != ended {
			return false
		}
	}
	return true
}
