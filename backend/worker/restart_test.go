package worker

import (
	"context"
	"os"
	"testing"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/event"
	"ingot/backend/hometest"
	"ingot/backend/owner"
	"ingot/backend/status"
)

// startOwner runs an owner until the test calls stop.
func startOwner(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, ready := make(chan error, 1), make(chan struct{})
	go func() { out <- owner.Run(ctx, backend.Options{}, func() { close(ready) }) }()
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
	stopOwner := startOwner(t)
	ctx, stopWorker := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	first := *m
	first.worker = &worker{b: m.worker.b, me: m.worker.me, running: map[string]bool{}, build: m.build}
	go func() { ended <- first.worker.run(ctx, func() {}) }()
	c := owner.ClientOf(m.b)
	id, err := c.Submit(t.Context(), api.Submission{Target: teamTarget, Team: true})
	if err != nil {
		t.Fatal(err)
	}
	hometest.Within(t, m.begun, "the build at the worker")
	view, end := context.WithCancel(t.Context())
	last := int64(0)
	_ = c.Follow(view, teamTarget, id, 0, func(e api.Event) { // ended by the view's end
		if last = max(last, e.ID); e.Kind == event.StepStarted {
			end()
		}
	})
	stopOwner()
	bd, err := m.b.Ledger.Build(teamTarget, id)
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
	runOwner(t)
	m.work()
	hometest.Within(t, m.begun, "the build at the worker again")
	close(m.goOn)
	if err := c.Follow(t.Context(), teamTarget, id, last, func(api.Event) {}); err != nil {
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
	rows, err := status.Rows(t.Context(), m.b, teamTarget)
	if err != nil || rows[0].Published.State != api.Passed {
		t.Errorf("published: %+v, %v", rows, err)
	}
}

// TestMain lets the test's program be the owner that a client starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "owner" {
		if err := owner.Serve(context.Background(), backend.Options{}, os.NewFile(3, "ready")); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runOwner runs an owner of the home in this process. The test does not end before
// the owner does: it still writes into the home that goes with the test.
func runOwner(t *testing.T) (ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stopped, ready := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		out <- owner.Run(ctx, backend.Options{}, func() { close(ready) })
	}()
	t.Cleanup(func() {
		cancel()
		<-stopped
	})
	select {
	case <-ready:
	case err := <-out:
		t.Fatalf("the owner ended at once: %v", err)
	}
	return out
}
