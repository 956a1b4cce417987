package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build/delivery"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family/all"
	"ingot/backend/home"
	"ingot/backend/jobs"
	"ingot/backend/limit"
	"ingot/backend/publish"
	"ingot/backend/remote"
	"ingot/backend/team"
)

// A build for a team has two parts. While a worker runs it, a goroutine of the
// owner copies the worker's events and logs into the build's journal and logs;
// that occupies no slot. The worker's result is stored as delivery.json. Then the
// build becomes a job of this home's queue, which downloads, verifies and
// publishes what the worker made.

// remoteBuild is a build that a worker of the team runs.
type remoteBuild struct {
	o       *Owner
	b       *backend.Backend
	job     jobs.Job
	s       api.Submission
	folder  evidence.Build
	journal *event.Journal
	sent    []byte // inputs.json as it is sent
	order   team.Order
	stop    context.CancelCauseFunc
	waits   waiting

	mu        sync.Mutex
	station   *team.Station // nil until connected
	cancelled bool
}

// isRemote reports whether the job is a build for the team that has no result
// yet.
func isRemote(ledger evidence.Ledger, j jobs.Job) (api.Submission, bool) {
	var s api.Submission
	if json.Unmarshal(j.Data, &s) != nil || !s.Team {
		return s, false
	}
	bd, err := ledger.Build(j.Target, j.ID)
	if err != nil {
		return s, false
	}
	_, err = os.Stat(filepath.Join(bd.Dir, remote.DeliveryFile))
	return s, errors.Is(err, fs.ErrNotExist)
}

// startRemote submits a build to the team, or resumes one, and follows it in a
// goroutine.
func (o *Owner) startRemote(j jobs.Job, s api.Submission) error {
	b, err := o.backend("")
	if err != nil {
		return err
	}
	a := &remoteBuild{o: o, b: b, job: j, s: s}
	if a.folder, err = o.ledger.Build(j.Target, j.ID); err != nil {
		return err
	}
	if err := a.fixInputs(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	a.stop = cancel
	o.mu.Lock()
	o.remote[j.ID] = a
	o.mu.Unlock()
	o.remoteRuns.Go(func() {
		err := a.run(ctx)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		o.mu.Lock()
		delete(o.remote, j.ID)
		o.mu.Unlock()
		cancel(nil)
		switch {
		case err == nil:
			if err := o.enqueue(context.Background(), j); err != nil {
				o.recordFailure(j, err)
			}
		case errors.Is(err, jobs.ErrStopping): // the next owner resumes it
		default:
			o.recordFailure(j, err)
		}
	})
	return nil
}

// stopRemote stops following all builds and waits for the goroutines.
func (o *Owner) stopRemote() {
	o.mu.Lock()
	for _, a := range o.remote {
		a.stop(jobs.ErrStopping)
	}
	o.mu.Unlock()
	o.remoteRuns.Wait()
}

// fixInputs reads the inputs that are sent to the worker. The first time it
// writes them, so that every later attempt sends the same.
func (a *remoteBuild) fixInputs() error {
	file := filepath.Join(a.folder.Dir, remote.InputsFile)
	text, err := limit.ReadFile(file, limit.Journal)
	if errors.Is(err, fs.ErrNotExist) {
		var in remote.Inputs
		if in, err = remote.InputsOf(a.b, a.s); err != nil {
			return err
		}
		if text, err = json.Marshal(in); err != nil {
			return err
		}
		err = home.WriteFileAtomic(file, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("inputs of build %s: %w", a.job.ID, err)
	}
	var in remote.Inputs
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("inputs of build %s: %w", a.job.ID, err)
	}
	set, err := in.Target.Set(all.Check)
	if err != nil {
		return err
	}
	r, err := set.Get(a.s.Target)
	if err != nil {
		return err
	}
	a.sent = text
	a.order = team.Order{Version: api.Version, Arch: r.Arch, Inputs: team.Piece{Kind: team.Inputs, Name: remote.InputsFile, SHA256: remote.Digest(text), Size: int64(len(text))}}
	return nil
}

// run follows the build until its result is stored.
func (a *remoteBuild) run(ctx context.Context) (err error) {
	events, err := a.folder.Journal()
	if err != nil {
		return err
	}
	lastOrigin := uint64(0)
	for _, e := range events {
		lastOrigin = max(lastOrigin, e.Origin)
	}
	if a.journal, err = event.OpenJournal(a.folder.JournalPath(), a.job.Target, a.job.ID, &a.o.bus); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.journal.Close()) }()
	pid, start := event.Self()
	if err := a.journal.Add(event.Event{Kind: event.BuildStarted, PID: pid, PIDStart: start}); err != nil {
		return err
	}
	station, err := a.join(ctx)
	if err != nil {
		return err
	}
	defer station.Close()
	err = remote.Retry(ctx, func(err error) { a.note("waiting for the team's server: %v", err) }, func() error { return station.Explain(a.submit(ctx, station)) })
	if err != nil {
		return err
	}
	result, err := station.Follow(ctx, a.job.ID, lastOrigin, a)
	if err != nil {
		return a.abandon(station, err)
	}
	a.mu.Lock()
	finishedAnyway := a.cancelled && result.Outcome == event.Passed // the build passed before the worker received the cancellation
	a.mu.Unlock()
	if finishedAnyway {
		return jobs.ErrCancelled
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return home.WriteFileAtomic(filepath.Join(a.folder.Dir, remote.DeliveryFile), text, 0o600)
}

// abandon cancels the build on the worker, whose result would not be used, and
// returns err.
func (a *remoteBuild) abandon(station *team.Station, err error) error {
	if errors.Is(err, jobs.ErrStopping) || errors.Is(err, jobs.ErrCancelled) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cancelTimeout)
	defer cancel()
	_, _ = station.Queue.Cancel(ctx, a.job.ID) // if this fails, the worker's result is ignored
	return err
}

func (a *remoteBuild) join(ctx context.Context) (*team.Station, error) {
	var station *team.Station
	err := remote.Retry(ctx, func(err error) { a.note("waiting for the team's server: %v", err) }, func() (err error) {
		station, err = team.Join(ctx, remote.Server(a.b), jobs.Options{Classes: []string{a.order.Class()}})
		return err
	})
	a.mu.Lock()
	a.station = station
	a.mu.Unlock()
	return station, err
}

// submit queues the build unless the team's queue or results contain it.
func (a *remoteBuild) submit(ctx context.Context, station *team.Station) error {
	if _, done, err := station.Result(ctx, a.job.ID); err != nil || done {
		return err
	}
	if queued, err := station.Queue.Holds(ctx, a.job.ID); err != nil || queued {
		return err
	}
	err := remote.Retry(ctx, func(err error) { a.note("waiting for the team's bucket: %v", err) }, func() error {
		objects, err := remote.Objects(ctx, a.b)
		if err == nil {
			_, err = remote.SendInputs(ctx, objects, a.job.ID, a.sent)
		}
		return err
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(a.order)
	if err != nil {
		return err
	}
	j := jobs.Job{ID: a.job.ID, Target: a.job.Target, Lane: a.job.Lane, Class: a.order.Class(), Weight: a.job.Weight, Data: data}
	return station.Queue.Submit(ctx, j)
}

func (a *remoteBuild) note(format string, args ...any) {
	if err := a.journal.Add(event.Event{Kind: event.Note, Step: "team", Msg: fmt.Sprintf(format, args...)}); err != nil {
		a.o.log.Error("journal", "build", a.job.ID, "err", err)
	}
}

// cancelTimeout bounds the wait for a worker's acknowledgement.
const cancelTimeout = answerTimeout

// cancel cancels a build on the team. The worker that runs it is asked to stop,
// and the build ends when the worker reports that. If no worker can be reached,
// the build ends here.
func (a *remoteBuild) cancel(ctx context.Context) {
	a.mu.Lock()
	station := a.station
	a.cancelled = true
	a.mu.Unlock()
	if station != nil {
		ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
		defer cancel()
		running, err := station.Queue.Cancel(ctx, a.job.ID)
		if err == nil && running {
			return
		}
		if err != nil && !errors.Is(err, jobs.ErrNoJob) {
			a.note("cannot tell the team that the build is cancelled: %v", err)
		}
	}
	a.stop(jobs.ErrCancelled)
}

// receive downloads, verifies and publishes the result of a build that the team
// has run. It is a job of this home's queue.
func receive(ctx context.Context, b *backend.Backend, j jobs.Job, s api.Submission, retryable func(error) bool) error {
	bd, err := b.Ledger.Build(j.Target, j.ID)
	if err != nil {
		return err
	}
	var in remote.Inputs
	var result team.Result
	for file, v := range map[string]any{remote.InputsFile: &in, remote.DeliveryFile: &result} {
		text, err := limit.ReadFile(filepath.Join(bd.Dir, file), limit.Journal)
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			return fmt.Errorf("build %s: %s: %w", j.ID, file, err)
		}
	}
	line := b.Line()
	if line.Targets, err = in.Target.Set(all.Check); err != nil {
		return err
	}
	opt := s.Options()
	opt.ID, opt.Again = j.ID, retryable
	d := delivery.Delivery{Result: result, Failed: remoteFailure(result)}
	d.Get = func(ctx context.Context, digest string, size int64, w io.Writer) error {
		objects, err := remote.Objects(ctx, b)
		if err != nil {
			return err
		}
		return objects.Get(ctx, j.ID, digest, size, w)
	}
	if err := delivery.Receive(ctx, line, opt, d); err != nil {
		return err
	}
	if objects, err := remote.Objects(ctx, b); err != nil || objects.Clear(ctx, j.ID) != nil {
		b.Log.Warn("cannot remove the build's objects from the team's bucket", "build", j.ID, "err", err)
	}
	return nil
}

// remoteFailure returns the failure of a build on a worker as an error, or nil
// if it passed.
func remoteFailure(r team.Result) error {
	switch r.Outcome {
	case event.Passed:
		return nil
	case event.Cancelled:
		return jobs.ErrCancelled
	}
	return &api.RemoteError{Msg: fmt.Sprintf("at worker %s (%s): %s", r.Host, r.Worker, r.Msg), Class: cause.ClassNamed(r.Class), Cause: r.Cause, Fix: r.Fix}
}

// temporaryReceive reports whether receiving a result failed because the bucket
// is unreachable.
func temporaryReceive(err error) bool {
	var pub *publish.Error
	return errors.As(err, &pub) && pub.Cause == "publish.endpoint-down"
}
