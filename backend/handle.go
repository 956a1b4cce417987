package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/jobs"
	"ingot/backend/target"
)

// backend opens the home afresh, so that a build sees the configuration and the
// recipes of now, and gives it what builds of this process share.
func (o *Owner) backend(guest string) (*Backend, error) {
	opt := o.opt
	opt.Guest = guest
	b, err := Open(opt)
	if err != nil {
		return nil, err
	}
	b.bus, b.making = &o.bus, &o.making
	return b, nil
}

// handle runs a build for the queue.
func (o *Owner) handle(ctx context.Context, j jobs.Job, a jobs.Attempt) error {
	bd, err := o.ledger.Build(j.Target, j.ID)
	if err != nil {
		return err
	}
	if events, err := bd.Journal(); err == nil && event.Ended(events) { // delivered again
		o.ended(j.ID)
		return nil
	}
	var s Submission
	if err := json.Unmarshal(j.Data, &s); err != nil {
		o.fail(j, err)
		return err
	}
	b, err := o.backend(s.Guest)
	if err != nil {
		o.fail(j, err)
		return err
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), jobs.ErrCancelled) { // before it began
		o.fail(j, context.Cause(ctx))
		return context.Cause(ctx)
	}
	defer home.StayAwake()()
	opt := s.options()
	opt.ID = j.ID
	opt.Again = func(err error) bool {
		cause := context.Cause(ctx)
		return errors.Is(cause, jobs.ErrStopping) || errors.Is(cause, jobs.ErrLeaseLost) || b.renews(ctx, opt, err) || !a.Last && (build.CanPass(err) || s.Team && passesAfar(err))
	}
	if s.Team {
		err = b.receive(ctx, j, s, opt.Again)
	} else {
		err = b.run(ctx, opt)
	}
	switch {
	case err == nil || !opt.Again(err):
		o.ended(j.ID)
		return err
	case ctx.Err() != nil:
		return err
	}
	return &jobs.RetryError{After: backoff(a.Number), Err: err}
}

// backoff grows with the attempts: 5 s, 20 s, 80 s, …
func backoff(attempt int) time.Duration {
	return 5 * time.Second << (2 * min(attempt-1, 4))
}

// renews tells whether the build failed for a stale lock that is to be renewed.
func (b *Backend) renews(ctx context.Context, opt build.Options, err error) bool {
	var stale *target.StaleLockError
	return errors.As(err, &stale) && opt.Renew && ctx.Err() == nil
}

// run runs the line, once more with a renewed lock where that is what it needs.
func (b *Backend) run(ctx context.Context, opt build.Options) error {
	_, err := b.line().Run(ctx, opt)
	if !b.renews(ctx, opt, err) {
		return err
	}
	opt.Renew = false
	if _, _, uerr := b.line().UpdateLock(ctx, opt.Target, io.Discard); uerr != nil {
		b.end(opt.Target, opt.ID, uerr)
		return errors.Join(err, uerr)
	}
	again := opt.Again
	opt.Again = func(err error) bool {
		var stale *target.StaleLockError
		return !errors.As(err, &stale) && again(err)
	}
	_, err = b.line().Run(ctx, opt)
	return err
}

// dead records the end of a build that the queue gave up.
func (o *Owner) dead(_ context.Context, j jobs.Job) {
	o.fail(j, &GivenUpError{j.ID})
}

// GivenUpError says that a build's worker went away too often.
type GivenUpError struct{ Build string }

func (e *GivenUpError) Error() string {
	return fmt.Sprintf("build %s was begun several times and never came to an end: its process ended each time", e.Build)
}

// CauseID names the cause.
func (e *GivenUpError) CauseID() string { return "evidence.interrupted" }

// fail writes the end of a build that no line will write.
func (o *Owner) fail(j jobs.Job, err error) {
	b, berr := o.backend("")
	if berr != nil {
		o.log.Error("the end of a build could not be written", "build", j.ID, "err", errors.Join(err, berr))
	} else {
		b.end(j.Target, j.ID, err)
	}
	o.ended(j.ID)
}

// end writes a build's end into its journal.
func (b *Backend) end(target, id string, err error) {
	if werr := b.line().End(target, id, err); werr != nil {
		b.log.Error("the end of a build could not be written", "build", id, "err", errors.Join(err, werr))
	}
}

// cancel ends a build: one that runs is told to, one that waits is taken out.
func (o *Owner) cancel(ctx context.Context, id string) error {
	o.mu.Lock()
	j, ok := o.open[id]
	q, far := o.queue, o.afar[id]
	o.mu.Unlock()
	if far != nil {
		o.cancelAfar(ctx, far)
		return nil
	}
	if !ok || q == nil {
		return &NoSuchBuildError{id}
	}
	running, err := q.Cancel(ctx, id)
	if errors.Is(err, jobs.ErrNoJob) {
		return &NoSuchBuildError{id}
	}
	if err == nil && !running {
		o.fail(j, jobs.ErrCancelled)
	}
	return err
}

// NoSuchBuildError says that no build of that id runs or waits.
type NoSuchBuildError struct{ ID string }

func (e *NoSuchBuildError) Error() string {
	return fmt.Sprintf("no build %s runs or waits: `ingot builds` lists them", e.ID)
}
