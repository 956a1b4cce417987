package owner

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/jobs"
	"ingot/backend/remote"
	"ingot/backend/target"
)

// backend opens the home again, so that a build uses the current configuration
// and recipes, and connects it to the event bus and the table of outputs under
// construction that the builds of this process share.
func (o *Owner) backend(guest string) (*backend.Backend, error) {
	opt := o.opt
	opt.Guest = guest
	b, err := backend.Open(opt)
	if err != nil {
		return nil, err
	}
	b.Bus, b.Making = &o.bus, &o.making
	return b, nil
}

// handle runs a build as a job of the queue.
func (o *Owner) handle(ctx context.Context, j jobs.Job, a jobs.Attempt) error {
	bd, err := o.ledger.Build(j.Target, j.ID)
	if err != nil {
		return err
	}
	if events, err := bd.Journal(); err == nil && event.Ended(events) { // delivered again
		o.finished(j.ID)
		return nil
	}
	var s api.Submission
	if err := json.Unmarshal(j.Data, &s); err != nil {
		o.recordFailure(j, err)
		return err
	}
	b, err := o.backend(s.Guest)
	if err != nil {
		o.recordFailure(j, err)
		return err
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), jobs.ErrCancelled) { // cancelled before it started
		o.recordFailure(j, context.Cause(ctx))
		return context.Cause(ctx)
	}
	defer home.StayAwake()()
	opt := s.Options()
	opt.ID = j.ID
	opt.Again = func(err error) bool {
		return goesOn(context.Cause(ctx), func() bool {
			return renewsLock(ctx, b, opt, err) || !a.Last && (build.CanPass(err) || s.Team && temporaryReceive(err))
		})
	}
	if s.Team {
		err = receive(ctx, b, j, s, opt.Again)
	} else {
		err = run(ctx, b, opt)
	}
	switch {
	case err == nil || !opt.Again(err):
		o.finished(j.ID)
		return err
	case ctx.Err() != nil:
		return err
	}
	return &jobs.RetryError{After: backoff(a.Number), Err: err}
}

// goesOn reports whether a build that stopped will be continued under its id. why is why
// its context ended, or nil; temporary is asked if that does not decide. A build that was
// cancelled stopped with any error, such as that of a guest that did not answer.
func goesOn(why error, temporary func() bool) bool {
	switch {
	case errors.Is(why, jobs.ErrCancelled):
		return false
	case errors.Is(why, jobs.ErrStopping), errors.Is(why, jobs.ErrLeaseLost):
		return true
	}
	return temporary()
}

// backoff returns the delay before the next attempt: 5 s, 20 s, 80 s, … up to 5
// s × 4⁴.
func backoff(attempt int) time.Duration {
	return 5 * time.Second << (2 * min(attempt-1, 4))
}

// renewsLock reports whether the build failed because its lock is stale and its
// options ask for the lock to be renewed.
func renewsLock(ctx context.Context, b *backend.Backend, opt build.Options, err error) bool {
	var stale *target.StaleLockError
	return errors.As(err, &stale) && opt.Renew && ctx.Err() == nil
}

// run runs the build. If the lock is stale and opt.Renew is set, it renews the
// lock and runs the build once more.
func run(ctx context.Context, b *backend.Backend, opt build.Options) error {
	_, err := b.Line().Run(ctx, opt)
	if !renewsLock(ctx, b, opt, err) {
		return err
	}
	opt.Renew = false
	if _, _, uerr := b.Line().UpdateLock(ctx, opt.Target, io.Discard); uerr != nil {
		recordEnd(b, opt.Target, opt.ID, uerr)
		return errors.Join(err, uerr)
	}
	retryable := opt.Again
	opt.Again = func(err error) bool {
		var stale *target.StaleLockError
		return !errors.As(err, &stale) && retryable(err)
	}
	_, err = b.Line().Run(ctx, opt)
	return err
}

// recordGivenUp records the failure of a build whose job reached the queue's
// delivery limit.
func (o *Owner) recordGivenUp(_ context.Context, j jobs.Job) {
	o.recordFailure(j, &remote.GivenUpError{Build: j.ID})
}

// recordFailure records err as the end of a build that does not run, so that
// nothing else records it.
func (o *Owner) recordFailure(j jobs.Job, err error) {
	b, berr := o.backend("")
	if berr != nil {
		o.log.Error("cannot record the end of a build", "build", j.ID, "err", errors.Join(err, berr))
	} else {
		recordEnd(b, j.Target, j.ID, err)
	}
	o.finished(j.ID)
}

// recordEnd appends the end of a build to its journal.
func recordEnd(b *backend.Backend, target, id string, err error) {
	if werr := b.Line().Records().End(target, id, err); werr != nil {
		b.Log.Error("cannot record the end of a build", "build", id, "err", errors.Join(err, werr))
	}
}

// cancel cancels a build: a running build is stopped, a waiting one is removed
// from the queue.
func (o *Owner) cancel(ctx context.Context, id string) error {
	o.mu.Lock()
	j, ok := o.open[id]
	q, remoteBuild := o.queue, o.remote[id]
	o.mu.Unlock()
	if remoteBuild != nil {
		remoteBuild.cancel(ctx)
		return nil
	}
	if !ok || q == nil {
		return &api.NoSuchBuildError{ID: id}
	}
	running, err := q.Cancel(ctx, id)
	if errors.Is(err, jobs.ErrNoJob) {
		return &api.NoSuchBuildError{ID: id}
	}
	if err == nil && !running {
		o.recordFailure(j, jobs.ErrCancelled)
	}
	return err
}
