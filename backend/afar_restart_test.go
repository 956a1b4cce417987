package backend

import (
	"context"
	"testing"

	"ingot/backend/event"
)

// ownUntil is own with an end that the test chooses.
func ownUntil(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, ready := make(chan error, 1), make(chan struct{})
	go func() { out <- RunOwner(ctx, Options{}, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-out:
		t.Fatalf("the owner ended at once: %v", err)
	}
	return func() {
		cancel()
		if err := <-out; err != nil {
			t.Errorf("owner: %v", err)
		}
	}
}

// A build of the team goes on when its submitter's owner was ended and when its
// worker was: under its id, each event once, published once.
func TestTeamGoesOn(t *testing.T) {
	m := newTeam(t)
	stopOwner := ownUntil(t)
	ctx, stopWorker := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	first := *m
	first.worker = &worker{b: m.worker.b, me: m.worker.me, running: map[string]bool{}, build: m.build}
	go func() { ended <- first.worker.run(ctx, func() {}) }()
	c := m.b.Client()
	id, err := c.Submit(t.Context(), Submission{Target: afarTarget, Team: true})
	if err != nil {
		t.Fatal(err)
	}
	within(t, m.begun, "the build at the worker")
	view, end := context.WithCancel(t.Context())
	last := int64(0)
	_ = c.Follow(view, afarTarget, id, 0, func(e Event) { // ended by the view's end
		if last = max(last, e.ID); e.Kind == event.StepStarted {
			end()
		}
	})
	stopOwner()
	bd, err := m.b.ledger.Build(afarTarget, id)
	if err != nil {
		t.Fatal(err)
	}
	if events, err := bd.Journal(); err != nil || event.Ended(events) {
		t.Fatalf("the build has an end with its owner: %v", err)
	}
	stopWorker()
	if err := <-ended; err != nil {
		t.Errorf("worker: %v", err)
	}
	own(t)
	m.work()
	within(t, m.begun, "the build at the worker again")
	close(m.goOn)
	if err := c.Follow(t.Context(), afarTarget, id, last, func(Event) {}); err != nil {
		t.Fatal(err)
	}
	events, err := bd.Journal()
	if err != nil {
		t.Fatal(err)
	}
	origin, starts, finishes := uint64(0), 0, 0
	for _, e := range events {
		if e.Origin > 0 && e.Origin <= origin {
			t.Errorf("event %d has the stream's number %d after %d", e.ID, e.Origin, origin)
		}
		origin = max(origin, e.Origin)
		switch {
		case e.Kind == event.StepStarted && e.Step == "kernel":
			starts++
		case e.Kind == event.StepFinished && e.Step == "kernel":
			finishes++
		}
	}
	if starts != 2 || finishes != 1 { // the worker began twice
		t.Errorf("the kernel step began %d times and ended %d times", starts, finishes)
	}
	rows, err := m.b.Status(t.Context(), afarTarget)
	if err != nil || rows[0].Published.State != Passed {
		t.Errorf("published: %+v, %v", rows, err)
	}
}
