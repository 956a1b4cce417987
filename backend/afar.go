package backend

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

	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/jobs"
	"ingot/backend/publish"
	"ingot/backend/team"
)

// A build that the team makes has two parts. While it is afar, a goroutine of
// the owner follows it into its journal and logs; that takes no slot. When its
// result is there – it is kept as delivery.json – the build becomes a job of this
// home's queue: what was made is fetched, checked and published.

// Files of such a build's folder, beside job.json.
const (
	inputsFile   = "inputs.json"   // what the worker was told
	deliveryFile = "delivery.json" // the result, once there is one
)

// afar is one build at the team.
type afar struct {
	o       *Owner
	b       *Backend
	job     jobs.Job
	s       Submission
	folder  evidence.Build
	journal *event.Journal
	sent    []byte // inputs.json
	order   team.Order
	stop    context.CancelCauseFunc
	waits   waiting

	mu        sync.Mutex
	station   *team.Station // nil until it is joined
	cancelled bool
}

// ofTeam tells whether the job is one that the team still has to build.
func (o *Owner) ofTeam(j jobs.Job) (Submission, bool) {
	var s Submission
	if json.Unmarshal(j.Data, &s) != nil || !s.Team {
		return s, false
	}
	bd, err := o.ledger.Build(j.Target, j.ID)
	if err != nil {
		return s, false
	}
	_, err = os.Stat(filepath.Join(bd.Dir, deliveryFile))
	return s, errors.Is(err, fs.ErrNotExist)
}

// goAfar begins or goes on with a build at the team.
func (o *Owner) goAfar(j jobs.Job, s Submission) error {
	b, err := o.backend("")
	if err != nil {
		return err
	}
	a := &afar{o: o, b: b, job: j, s: s}
	if a.folder, err = o.ledger.Build(j.Target, j.ID); err != nil {
		return err
	}
	if err := a.fixInputs(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	a.stop = cancel
	o.mu.Lock()
	o.afar[j.ID] = a
	o.mu.Unlock()
	o.abroad.Go(func() {
		err := a.run(ctx)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		o.mu.Lock()
		delete(o.afar, j.ID)
		o.mu.Unlock()
		cancel(nil)
		switch {
		case err == nil:
			if err := o.enqueue(context.Background(), j); err != nil {
				o.fail(j, err)
			}
		case errors.Is(err, jobs.ErrStopping): // goes on with the next owner
		default:
			o.fail(j, err)
		}
	})
	return nil
}

// stopAfar ends the following of all builds and waits for that.
func (o *Owner) stopAfar() {
	o.mu.Lock()
	for _, a := range o.afar {
		a.stop(jobs.ErrStopping)
	}
	o.mu.Unlock()
	o.abroad.Wait()
}

// fixInputs reads what the worker is told, or fixes it the first time.
func (a *afar) fixInputs() error {
	file := filepath.Join(a.folder.Dir, inputsFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		var in inputs
		if in, err = a.b.inputsOf(a.s); err != nil {
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
	var in inputs
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("inputs of build %s: %w", a.job.ID, err)
	}
	set, err := in.Target.Set()
	if err != nil {
		return err
	}
	r, err := set.Get(a.s.Target)
	if err != nil {
		return err
	}
	a.sent = text
	a.order = team.Order{Version: Version, Arch: r.Arch, Inputs: team.Piece{Kind: team.Inputs, Name: inputsFile, SHA256: sumOf(text), Size: int64(len(text))}}
	return nil
}

// run follows the build until its result is kept.
func (a *afar) run(ctx context.Context) (err error) {
	events, err := a.folder.Journal()
	if err != nil {
		return err
	}
	after := uint64(0)
	for _, e := range events {
		after = max(after, e.Origin)
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
	err = insist(ctx, func(err error) { a.note("waits for the team's server: %v", err) }, func() error { return station.Explain(a.submit(ctx, station)) })
	if err != nil {
		return err
	}
	result, err := station.Follow(ctx, a.job.ID, after, a)
	if err != nil {
		return a.giveUp(station, err)
	}
	a.mu.Lock()
	late := a.cancelled && result.Outcome == event.Passed // the worker was too quick for the cancel
	a.mu.Unlock()
	if late {
		return jobs.ErrCancelled
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return home.WriteFileAtomic(filepath.Join(a.folder.Dir, deliveryFile), text, 0o600)
}

// giveUp tells the worker that nobody waits for the build any more.
func (a *afar) giveUp(station *team.Station, err error) error {
	if errors.Is(err, jobs.ErrStopping) || errors.Is(err, jobs.ErrCancelled) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cancelWait)
	defer cancel()
	_, _ = station.Queue.Cancel(ctx, a.job.ID) // its result would not be taken anyway
	return err
}

func (a *afar) join(ctx context.Context) (*team.Station, error) {
	var station *team.Station
	err := insist(ctx, func(err error) { a.note("waits for the team's server: %v", err) }, func() (err error) {
		station, err = team.Join(ctx, a.b.server(), jobs.Options{Classes: []string{a.order.Class()}})
		return err
	})
	a.mu.Lock()
	a.station = station
	a.mu.Unlock()
	return station, err
}

// submit queues the build, unless the team has it already.
func (a *afar) submit(ctx context.Context, station *team.Station) error {
	if _, done, err := station.Result(ctx, a.job.ID); err != nil || done {
		return err
	}
	if held, err := station.Queue.Holds(ctx, a.job.ID); err != nil || held {
		return err
	}
	err := insist(ctx, func(err error) { a.note("waits for the team's bucket: %v", err) }, func() error {
		objects, err := a.b.objects(ctx)
		if err == nil {
			_, err = sendInputs(ctx, objects, a.job.ID, a.sent)
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

func (a *afar) note(format string, args ...any) {
	if err := a.journal.Add(event.Event{Kind: event.Note, Step: "team", Msg: fmt.Sprintf(format, args...)}); err != nil {
		a.o.log.Error("journal", "build", a.job.ID, "err", err)
	}
}

// cancelWait bounds the wait for a worker's answer.
const cancelWait = jobsAnswer

// cancelAfar ends a build at the team. A worker that runs it is told to, and the
// build ends when that says so; if nobody can be told, it ends here.
func (o *Owner) cancelAfar(ctx context.Context, a *afar) {
	a.mu.Lock()
	station := a.station
	a.cancelled = true
	a.mu.Unlock()
	if station != nil {
		ctx, cancel := context.WithTimeout(ctx, cancelWait)
		defer cancel()
		running, err := station.Queue.Cancel(ctx, a.job.ID)
		if err == nil && running {
			return
		}
		if err != nil && !errors.Is(err, jobs.ErrNoJob) {
			a.note("the team could not be told that the build is cancelled: %v", err)
		}
	}
	a.stop(jobs.ErrCancelled)
}

// receive goes on with a build that the team ended, as a job of this home.
func (b *Backend) receive(ctx context.Context, j jobs.Job, s Submission, again func(error) bool) error {
	bd, err := b.ledger.Build(j.Target, j.ID)
	if err != nil {
		return err
	}
	var in inputs
	var result team.Result
	for file, v := range map[string]any{inputsFile: &in, deliveryFile: &result} {
		text, err := os.ReadFile(filepath.Join(bd.Dir, file))
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			return fmt.Errorf("build %s: %s: %w", j.ID, file, err)
		}
	}
	line := b.line()
	if line.Targets, err = in.Target.Set(); err != nil {
		return err
	}
	opt := s.options()
	opt.ID, opt.Again = j.ID, again
	d := build.Delivery{Result: result, Failed: failedAfar(result)}
	d.Get = func(ctx context.Context, digest string, size int64, w io.Writer) error {
		objects, err := b.objects(ctx)
		if err != nil {
			return err
		}
		return objects.Get(ctx, j.ID, digest, size, w)
	}
	if err := line.Receive(ctx, opt, d); err != nil {
		return err
	}
	if objects, err := b.objects(ctx); err != nil || objects.Clear(ctx, j.ID) != nil {
		b.log.Warn("the team's bucket keeps what was fetched", "build", j.ID, "err", err)
	}
	return nil
}

// failedAfar is how a build ended at a worker, as an error; nil when it passed.
func failedAfar(r team.Result) error {
	switch r.Outcome {
	case event.Passed:
		return nil
	case event.Cancelled:
		return jobs.ErrCancelled
	}
	return &RemoteError{Msg: fmt.Sprintf("at worker %s (%s): %s", r.Host, r.Worker, r.Msg), Class: classNamed(r.Class), Cause: r.Cause, Fix: r.Fix}
}

// passesAfar tells whether the failure of a receive is one that passes.
func passesAfar(err error) bool {
	var pub *publish.Error
	return errors.As(err, &pub) && pub.Cause == "publish.endpoint-down"
}
