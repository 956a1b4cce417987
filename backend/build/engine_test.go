package build

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
)

// trial is a plan of small steps that record when they run.
type trial struct {
	mu    sync.Mutex
	began []string
	fail  map[string]error
	slow  map[string]chan struct{} // a step waits for it, or until its context is done
}

func (p *trial) work(name string, todo bool) work {
	return work{
		todo: func(context.Context, map[string]outputs.Output) (bool, error) { return todo, nil },
		run: func(ctx context.Context, got map[string]outputs.Output) (outputs.Output, error) {
			p.mu.Lock()
			var from []string
			for n, out := range got {
				if out.Key != "" {
					from = append(from, n)
				}
			}
			slices.Sort(from)
			p.began = append(p.began, name+"("+strings.Join(from, " ")+")")
			wait := p.slow[name]
			p.mu.Unlock()
			if wait != nil {
				select {
				case <-wait:
				case <-ctx.Done():
					return outputs.Output{}, context.Cause(ctx)
				}
			}
			return outputs.Output{Key: name}, p.fail[name]
		},
	}
}

// run runs the plan a, b on demand → c (its inputs are known) → d, which needs e on
// demand and knows that only after c, → f.
func (p *trial) run(ctx context.Context, change func(*engine)) (string, error) {
	e := engine{
		plan: Plan{Steps: []Step{{Name: "a"}, {Name: "b", OnDemand: true}, {Name: "c", Needs: []string{"a", "b"}, Inputs: record.Inputs{"x": "y"}},
			{Name: "e", OnDemand: true}, {Name: "d", Needs: []string{"c", "e"}}, {Name: "f", Needs: []string{"d"}}}},
		works: map[string]work{}, wanted: func(s string) bool { return s != "b" && s != "e" }, forced: func(string) bool { return false },
		prepare: func(context.Context, []Step) error { return nil },
	}
	for _, s := range e.plan.Steps {
		e.works[s.Name] = p.work(s.Name, true)
	}
	if change != nil {
		change(&e)
	}
	_, err := e.run(ctx)
	return strings.Join(p.began, ", "), err
}

// A step runs once the steps that it needs are done; a step on demand runs only for a
// step that has something to do.
func TestEngine(t *testing.T) {
	no := errors.New("no")
	for name, c := range map[string]struct {
		fail   map[string]error
		change func(*engine)
		want   string
		err    error
	}{
		"all":                {want: "a(), b(), c(a b), e(), d(c e), f(d)"},
		"nothing to do in c": {change: func(e *engine) { w := e.works["c"]; w.todo = (&trial{}).work("c", false).todo; e.works["c"] = w }, want: "a(), c(a), e(), d(c e), f(d)"},
		"nothing to do in d": {change: func(e *engine) { w := e.works["d"]; w.todo = (&trial{}).work("d", false).todo; e.works["d"] = w }, want: "a(), b(), c(a b), d(c), f(d)"},
		"b is forced": {change: func(e *engine) {
			w := e.works["c"]
			w.todo = (&trial{}).work("c", false).todo
			e.works["c"] = w
			e.forced = func(s string) bool { return s == "b" }
		}, want: "a(), b(), c(a b), e(), d(c e), f(d)"},
		"as far as c":  {change: func(e *engine) { e.wanted = func(s string) bool { return s == "a" || s == "c" } }, want: "a(), b(), c(a b)"},
		"as far as a":  {change: func(e *engine) { e.wanted = func(s string) bool { return s == "a" } }, want: "a()"},
		"c fails":      {fail: map[string]error{"c": no}, want: "a(), b(), c(a b)", err: no},
		"d fails":      {fail: map[string]error{"d": no}, want: "a(), b(), c(a b), e(), d(c e)", err: no},
		"d may fail":   {fail: map[string]error{"d": no}, change: func(e *engine) { w := e.works["d"]; w.mayFail = true; e.works["d"] = w }, want: "a(), b(), c(a b), e(), d(c e), f(d)"},
		"d cannot say": {change: func(e *engine) { w := e.works["d"]; w.todo = cannotSay(no); e.works["d"] = w }, want: "a(), b(), c(a b)", err: no},
		"d cannot say and may fail": {change: func(e *engine) {
			w := e.works["d"]
			w.mayFail, w.todo = true, cannotSay(no)
			e.works["d"] = w
		}, want: "a(), b(), c(a b), f()"},
		"a download fails": {change: func(e *engine) {
			e.prepare = func(_ context.Context, ready []Step) error {
				if slices.ContainsFunc(ready, func(s Step) bool { return s.Name == "e" }) {
					return no
				}
				return nil
			}
		}, want: "a(), b(), c(a b)", err: no},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&trial{fail: c.fail}).run(t.Context(), c.change)
			got = strings.Replace(got, "b(), a()", "a(), b()", 1) // concurrent
			if got != c.want || !errors.Is(err, c.err) || (err != nil) != (c.err != nil) {
				t.Errorf("%s, %v\nwant %s, %v", got, err, c.want, c.err)
			}
		})
	}
}

func cannotSay(err error) func(context.Context, map[string]outputs.Output) (bool, error) {
	return func(context.Context, map[string]outputs.Output) (bool, error) { return true, err }
}

// Steps that do not need each other run concurrently, and the failure of one cancels
// the other, with that step as the cause.
func TestEngineSideBySide(t *testing.T) {
	no := errors.New("no")
	p := &trial{slow: map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{})}, fail: map[string]error{"b": no}}
	done := make(chan error)
	go func() {
		_, err := p.run(t.Context(), nil)
		done <- err
	}()
	both := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.began) == 2
	}
	for range 500 {
		if both() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !both() {
		t.Fatal("one step waited for the other")
	}
	close(p.slow["b"]) // b fails; a is not released, and ends by its context
	if err := <-done; !errors.Is(err, no) {
		t.Error(err)
	}
}
