package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/jobs"
	"ingot/backend/publish"
	"ingot/backend/target"
	"ingot/backend/team"
)

// WorkerOptions say whose worker this home is. Server, credentials and CA stand
// in for those of config.yaml where they are given.
type WorkerOptions struct {
	Options
	NATS, Creds, CAFile string
	Ready               func(WorkerInfo, []string) // it takes work; and why it cannot do what it cannot
}

// RunWorker builds for the team until ctx ends; what it was at then goes on
// elsewhere, or here when it is back. It holds the home's lock. It publishes
// nothing.
func RunWorker(ctx context.Context, opt WorkerOptions) error {
	b, err := Open(opt.Options)
	if err != nil {
		return err
	}
	t := &b.config.Team
	for to, from := range map[*string]string{&t.NATS: opt.NATS, &t.Creds: opt.Creds, &t.CAFile: opt.CAFile} {
		if from != "" {
			*to = from
		}
	}
	if t.NATS == "" || t.Store.Endpoint == "" {
		return &build.OptionError{Msg: fmt.Sprintf("no team: give --nats, and set team.store in %s (docs/team.md)", b.Home.ConfigFile())}
	}
	lock, err := b.lock(ctx, home.LockOptions{Purpose: "worker"})
	if err != nil {
		return err
	}
	me, cannot := b.probe(ctx)
	b.making = &build.Making{}
	w := &worker{b: b, me: me, cannot: cannot, running: map[string]bool{}, build: b.work}
	return errors.Join(w.run(ctx, func() {
		if opt.Ready != nil {
			opt.Ready(me, cannot)
		}
	}), lock.Unlock())
}

// worker is this home as a worker of the team.
type worker struct {
	b       *Backend
	me      team.Worker
	cannot  []string // why not, what it does not
	station *team.Station
	objects *publish.Objects
	// build runs a build's line; b.work, or what a test does instead.
	build func(ctx context.Context, set *target.Set, opt build.Options, grown func()) ([]build.Made, error)

	mu      sync.Mutex
	running map[string]bool
}

func (w *worker) run(ctx context.Context, ready func()) (err error) {
	if len(w.me.Builds) == 0 {
		return &CannotBuildError{w.cannot}
	}
	if w.objects, err = w.b.objects(ctx); err != nil {
		return err
	}
	if w.station, err = team.Join(ctx, w.b.server(), jobs.Options{Classes: w.me.Classes()}); err != nil {
		return err
	}
	defer w.station.Close()
	held, err := w.station.Queue.Pending(ctx)
	if err != nil {
		return w.station.Explain(err)
	}
	goesOn := map[string]bool{}
	for _, j := range held {
		goesOn[j.ID] = true
	}
	if err := w.b.line().Recover(goesOn); err != nil {
		return err
	}
	var beats sync.WaitGroup
	bctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	beats.Go(func() { w.beat(bctx, ready) })
	defer beats.Wait()
	defer stop()
	return jobs.Worker{Slots: w.me.Slots, Handle: w.handle, Dead: w.dead, Rests: batchRests(), Outlives: true, Log: w.b.log}.Run(ctx, w.station.Queue)
}

// beat shows the worker until ctx ends, and takes it from the list then. ready
// is called after the first time.
func (w *worker) beat(ctx context.Context, ready func()) {
	ticker := time.NewTicker(team.Beat)
	defer ticker.Stop()
	for {
		me := w.me
		w.mu.Lock()
		me.Running = []string{}
		for id := range w.running {
			me.Running = append(me.Running, id)
		}
		w.mu.Unlock()
		slices.Sort(me.Running)
		if err := w.station.Show(ctx, me); err != nil && ctx.Err() == nil {
			w.b.log.Warn("heartbeat", "err", err) // the next one comes soon
		} else if ready != nil {
			ready()
			ready = nil
		}
		select {
		case <-ctx.Done():
			_ = w.station.Hide(context.WithoutCancel(ctx), w.me.ID) // otherwise it is forgotten soon
			return
		case <-ticker.C:
		}
	}
}

func (w *worker) runs(id string, now bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now {
		w.running[id] = true
	} else {
		delete(w.running, id)
	}
}

// handle runs one build for the team.
func (w *worker) handle(ctx context.Context, j jobs.Job, _ jobs.Attempt) error {
	r := team.Result{Build: j.ID, Worker: w.me.ID, Host: w.me.Host, Pieces: []team.Piece{}}
	_, done, err := w.station.Result(ctx, j.ID)
	if done {
		return nil // delivered again
	}
	if err != nil {
		return &jobs.RetryError{After: patience, Err: err}
	}
	if errors.Is(context.Cause(ctx), jobs.ErrCancelled) { // before it began
		return w.leave(ctx, r, context.Cause(ctx))
	}
	w.runs(j.ID, true)
	defer w.runs(j.ID, false)
	bd, set, opt, err := w.accept(ctx, j)
	if err != nil {
		return w.leave(ctx, r, err)
	}
	sender := w.station.Sender(team.Source{Build: j.ID, Worker: w.me.ID, Journal: bd.JournalPath(), Logs: filepath.Join(bd.Dir, "logs")})
	made, err := w.send(ctx, sender, set, opt)
	if cause := context.Cause(ctx); errors.Is(cause, jobs.ErrStopping) || errors.Is(cause, jobs.ErrLeaseLost) {
		return cause
	}
	// from here on a cancel comes too late: what was made is told
	ctx, stop := w.untilStopped(ctx)
	defer stop()
	if uerr := w.upload(ctx, &r, made); uerr != nil {
		err = errors.Join(err, uerr)
	}
	if ferr := sender.Flush(ctx); ferr != nil {
		return ferr
	}
	return w.leave(ctx, r, err)
}

// untilStopped is a context that a cancelled job does not end, but a worker that
// stops or has lost its lease.
func (w *worker) untilStopped(ctx context.Context) (context.Context, func()) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if c := context.Cause(ctx); !errors.Is(c, jobs.ErrCancelled) {
			cancel(c)
		}
	})
	return out, func() { stop(); cancel(nil) }
}

// accept reads what is asked for. What comes from the queue is another
// computer's word.
func (w *worker) accept(ctx context.Context, j jobs.Job) (bd evidence.Build, set *target.Set, opt build.Options, err error) {
	var order team.Order
	if json.Unmarshal(j.Data, &order) != nil || order.Inputs.Kind != team.Inputs || !w.me.Can(order) {
		return bd, nil, opt, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("job %s is no order that worker %s could take", j.ID, w.me.ID)}
	}
	if bd, err = w.b.ledger.Build(j.Target, j.ID); err != nil {
		return bd, nil, opt, err
	}
	var in inputs
	err = insist(ctx, w.away, func() (err error) {
		in, err = readInputs(ctx, w.objects, j.ID, order.Inputs)
		return err
	})
	if err != nil {
		return bd, nil, opt, err
	}
	if set, err = in.Target.Set(); err != nil {
		return bd, nil, opt, err
	}
	r, err := set.Get(j.Target)
	if err == nil && r.Arch != order.Arch {
		err = &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("job %s is for %s, its recipe for %s", j.ID, order.Arch, r.Arch)}
	}
	return bd, set, in.options(j.ID, j.Target), err
}

func (w *worker) away(err error) { w.b.log.Warn("the team is away", "err", err) }

// send builds, and sends journal and logs meanwhile.
func (w *worker) send(ctx context.Context, sender *team.Sender, set *target.Set, opt build.Options) ([]build.Made, error) {
	sctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var senders sync.WaitGroup
	senders.Go(func() {
		sender.Run(sctx, func(err error) {
			if err != nil {
				w.away(err)
			}
		})
	})
	defer senders.Wait()
	defer stop()
	events, unfollow := w.b.bus.Follow()
	senders.Go(func() {
		for e := range events {
			switch {
			case e.Build != opt.ID:
			case e.Kind == event.Progress:
				sender.Progress(e)
			default:
				sender.Wake()
			}
		}
	})
	defer unfollow()
	defer home.StayAwake()()
	opt.Again = func(error) bool {
		cause := context.Cause(ctx)
		return errors.Is(cause, jobs.ErrStopping) || errors.Is(cause, jobs.ErrLeaseLost)
	}
	return w.build(ctx, set, opt, sender.Wake)
}

// work runs a build's line, of recipes that were sent.
func (b *Backend) work(ctx context.Context, set *target.Set, opt build.Options, grown func()) ([]build.Made, error) {
	line := b.line()
	line.Targets, line.Logged = set, grown
	return line.Work(ctx, opt)
}

// upload puts what was made into the bucket, and names it in the result.
func (w *worker) upload(ctx context.Context, r *team.Result, made []build.Made) error {
	for _, m := range made {
		var p publish.Published
		err := insist(ctx, w.away, func() (err error) {
			p, err = w.objects.Put(ctx, r.Build, m.File)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s for the team: %w", m.Name, err)
		}
		r.Pieces = append(r.Pieces, team.Piece{Kind: m.Kind, Name: m.Name, SHA256: p.SHA256, Size: p.Size})
	}
	return nil
}

// leave leaves the result, however long the server is away.
func (w *worker) leave(ctx context.Context, r team.Result, err error) error {
	ctx, stop := w.untilStopped(ctx)
	defer stop()
	r.Outcome, r.At = event.Passed, time.Now().UTC()
	if err != nil {
		r.Outcome, r.Msg, r.Class = event.Failed, err.Error(), ClassOf(err).String()
		r.Cause, r.Fix = Advice(err)
	}
	if errors.Is(err, context.Canceled) {
		r.Outcome, r.Cause = event.Cancelled, "evidence.cancelled"
	}
	if ierr := insist(ctx, w.away, func() error {
		_, err := w.station.End(ctx, r)
		return w.station.Explain(err)
	}); ierr != nil {
		return ierr // delivered again
	}
	return nil
}

// dead leaves the result of a build that was begun too often.
func (w *worker) dead(ctx context.Context, j jobs.Job) {
	r := team.Result{Build: j.ID, Worker: w.me.ID, Host: w.me.Host, Pieces: []team.Piece{}}
	if err := w.leave(ctx, r, &GivenUpError{j.ID}); err != nil {
		w.b.log.Error("the end of a build could not be told", "build", j.ID, "err", err)
	}
}
