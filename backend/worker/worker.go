// Package worker makes a home a worker of a team: it takes builds from the
// team's queue, runs them, and stores the results in the team's bucket.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/build/delivery"
	"ingot/backend/build/outputs"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family/all"
	"ingot/backend/home"
	"ingot/backend/jobs"
	"ingot/backend/publish"
	"ingot/backend/publish/s3"
	"ingot/backend/remote"
	"ingot/backend/target"
	"ingot/backend/team"
)

// Options configure a worker. NATS, Creds and CAFile override the settings of
// config.yaml if they are not empty.
type Options struct {
	backend.Options
	NATS, Creds, CAFile string
	Ready               func(api.WorkerInfo, []string) // called once when the worker accepts builds, with the reasons why it cannot build some architectures; may be nil
}

// Run takes and runs builds of the team until ctx is done. Builds that are
// running then continue on another worker, or here at the next start. It holds
// the home's lock. It publishes nothing.
func Run(ctx context.Context, opt Options) error {
	b, err := backend.Open(opt.Options)
	if err != nil {
		return err
	}
	t := &b.Config.Team
	for to, from := range map[*string]string{&t.NATS: opt.NATS, &t.Creds: opt.Creds, &t.CAFile: opt.CAFile} {
		if from != "" {
			*to = from
		}
	}
	if t.NATS == "" || t.Store.Endpoint == "" {
		return &build.OptionError{Msg: fmt.Sprintf("no team: give --nats, and set team.store in %s (docs/team.md)", b.Home.ConfigFile())}
	}
	lock, err := b.Lock(ctx, home.LockOptions{Purpose: "worker"})
	if err != nil {
		return err
	}
	me, reasons := probe(ctx, b)
	b.Making = &outputs.Making{}
	w := &worker{b: b, me: me, cannot: reasons, running: map[string]bool{}, build: func(ctx context.Context, set *target.Set, opt build.Options, grown func()) ([]delivery.Made, error) {
		return work(ctx, b, set, opt, grown)
	}}
	return errors.Join(w.run(ctx, func() {
		if opt.Ready != nil {
			opt.Ready(me, reasons)
		}
	}), lock.Unlock())
}

// worker is the state of a running Run.
type worker struct {
	b       *backend.Backend
	me      team.Worker
	cannot  []string // why not, what it does not
	station *team.Station
	objects *s3.Objects
	// build runs a build; it is work except in tests.
	build func(ctx context.Context, set *target.Set, opt build.Options, grown func()) ([]delivery.Made, error)

	mu      sync.Mutex
	running map[string]bool
}

func (w *worker) run(ctx context.Context, ready func()) (err error) {
	if len(w.me.Builds) == 0 {
		return &CannotBuildError{w.cannot}
	}
	if w.objects, err = remote.Objects(ctx, w.b); err != nil {
		return err
	}
	if w.station, err = team.Join(ctx, remote.Server(w.b), jobs.Options{Classes: w.me.Classes()}); err != nil {
		return err
	}
	defer w.station.Close()
	pending, err := w.station.Queue.Pending(ctx)
	if err != nil {
		return w.station.Explain(err)
	}
	resumed := map[string]bool{}
	for _, j := range pending {
		resumed[j.ID] = true
	}
	if err := w.b.Recover(resumed); err != nil {
		return err
	}
	var heartbeats sync.WaitGroup
	bctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	heartbeats.Go(func() { w.heartbeat(bctx, ready) })
	defer heartbeats.Wait()
	defer stop()
	return jobs.Worker{Slots: w.me.Slots, Handle: w.handle, Dead: w.reportGivenUp, Paused: remote.PauseBatchOnLowBattery(), KeepOnDisconnect: true, Log: w.b.Log}.Run(ctx, w.station.Queue)
}

// heartbeat publishes the worker every team.HeartbeatInterval until ctx is
// done, and then removes it from the list. ready is called after the first
// heartbeat.
func (w *worker) heartbeat(ctx context.Context, ready func()) {
	ticker := time.NewTicker(team.HeartbeatInterval)
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
		if err := w.station.Heartbeat(ctx, me); err != nil && ctx.Err() == nil {
			w.b.Log.Warn("heartbeat", "err", err) // the next one may succeed
		} else if ready != nil {
			ready()
			ready = nil
		}
		select {
		case <-ctx.Done():
			_ = w.station.RemoveWorker(context.WithoutCancel(ctx), w.me.ID) // if this fails, the entry expires
			return
		case <-ticker.C:
		}
	}
}

func (w *worker) setRunning(id string, now bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now {
		w.running[id] = true
	} else {
		delete(w.running, id)
	}
}

// handle runs one build of the team as a job of its queue.
func (w *worker) handle(ctx context.Context, j jobs.Job, _ jobs.Attempt) error {
	r := team.Result{Build: j.ID, Worker: w.me.ID, Host: w.me.Host, Pieces: []team.Piece{}}
	_, done, err := w.station.Result(ctx, j.ID)
	if done {
		return nil // delivered again
	}
	if err != nil {
		return &jobs.RetryError{After: remote.RetryInterval, Err: err}
	}
	if errors.Is(context.Cause(ctx), jobs.ErrCancelled) { // cancelled before it started
		return w.reportResult(ctx, r, context.Cause(ctx))
	}
	w.setRunning(j.ID, true)
	defer w.setRunning(j.ID, false)
	bd, set, opt, err := w.accept(ctx, j)
	if err != nil {
		return w.reportResult(ctx, r, err)
	}
	sender := w.station.Sender(team.Source{Build: j.ID, Worker: w.me.ID, Journal: bd.JournalPath(), Logs: filepath.Join(bd.Dir, "logs")})
	made, err := w.send(ctx, sender, set, opt)
	if cause := context.Cause(ctx); errors.Is(cause, jobs.ErrStopping) || errors.Is(cause, jobs.ErrLeaseLost) {
		return cause
	}
	// a later cancellation has no effect: the outputs are uploaded and the result reported
	ctx, stop := w.untilStopped(ctx)
	defer stop()
	if uerr := w.upload(ctx, &r, made); uerr != nil {
		err = errors.Join(err, uerr)
	}
	if ferr := sender.Flush(ctx); ferr != nil {
		return ferr
	}
	return w.reportResult(ctx, r, err)
}

// untilStopped returns a context that is not cancelled when the job is
// cancelled, but is when the worker stops or loses its lease.
func (w *worker) untilStopped(ctx context.Context) (context.Context, func()) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if c := context.Cause(ctx); !errors.Is(c, jobs.ErrCancelled) {
			cancel(c)
		}
	})
	return out, func() { stop(); cancel(nil) }
}

// accept reads and checks the order of a job. Its data comes from another
// computer and is not trusted.
func (w *worker) accept(ctx context.Context, j jobs.Job) (bd evidence.Build, set *target.Set, opt build.Options, err error) {
	var order team.Order
	if json.Unmarshal(j.Data, &order) != nil || order.Inputs.Kind != team.Inputs {
		return bd, nil, opt, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("worker %s cannot read job %s: another version of Ingot, or another program, submitted it", w.me.ID, j.ID)}
	}
	if !w.me.Can(order) {
		return bd, nil, opt, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("job %s is for ingot %.40q and %.40q; worker %s runs ingot %s and builds %s", j.ID, order.Version, order.Arch, w.me.ID, w.me.Version, strings.Join(w.me.Builds, ", "))}
	}
	if bd, err = w.b.Ledger.Build(j.Target, j.ID); err != nil {
		return bd, nil, opt, err
	}
	var in remote.Inputs
	err = remote.Retry(ctx, w.unreachable, func() (err error) {
		in, err = remote.ReadInputs(ctx, w.objects, j.ID, order.Inputs)
		return err
	})
	if err != nil {
		return bd, nil, opt, err
	}
	if set, err = in.Target.Set(all.Check); err != nil {
		return bd, nil, opt, err
	}
	r, err := set.Get(j.Target)
	if err == nil && r.Arch != order.Arch {
		err = &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("job %s is for %s, its recipe for %s", j.ID, order.Arch, r.Arch)}
	}
	return bd, set, in.Options(j.ID, j.Target), err
}

func (w *worker) unreachable(err error) {
	w.b.Log.Warn("the team's server or bucket is unreachable", "err", err)
}

// send runs the build and sends its journal and logs meanwhile.
func (w *worker) send(ctx context.Context, sender *team.Sender, set *target.Set, opt build.Options) ([]delivery.Made, error) {
	sctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var senders sync.WaitGroup
	senders.Go(func() {
		sender.Run(sctx, func(err error) {
			if err != nil {
				w.unreachable(err)
			}
		})
	})
	defer senders.Wait()
	defer stop()
	events, unfollow := w.b.Bus.Follow()
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

// work runs a build with the recipes of set.
func work(ctx context.Context, b *backend.Backend, set *target.Set, opt build.Options, grown func()) ([]delivery.Made, error) {
	line := b.Line()
	line.Targets, line.Logged = set, grown
	return delivery.Work(ctx, line, opt)
}

// upload stores the files that were made in the bucket and adds them to the
// result.
func (w *worker) upload(ctx context.Context, r *team.Result, made []delivery.Made) error {
	for _, m := range made {
		var p publish.Published
		err := remote.Retry(ctx, w.unreachable, func() (err error) {
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

// reportResult writes the build's result to the team's server, and retries
// while the server is unreachable.
func (w *worker) reportResult(ctx context.Context, r team.Result, err error) error {
	ctx, stop := w.untilStopped(ctx)
	defer stop()
	r.Outcome, r.At = event.Passed, time.Now().UTC()
	if err != nil {
		r.Outcome, r.Msg, r.Class = event.Failed, err.Error(), api.ClassOf(err).String()
		r.Cause, r.Fix = api.Advice(err)
	}
	if errors.Is(err, context.Canceled) {
		r.Outcome, r.Cause = event.Cancelled, "evidence.cancelled"
	}
	if ierr := remote.Retry(ctx, w.unreachable, func() error {
		_, err := w.station.PutResult(ctx, r)
		return w.station.Explain(err)
	}); ierr != nil {
		return ierr // delivered again
	}
	return nil
}

// reportGivenUp reports the failure of a build that reached the queue's
// delivery limit.
func (w *worker) reportGivenUp(ctx context.Context, j jobs.Job) {
	r := team.Result{Build: j.ID, Worker: w.me.ID, Host: w.me.Host, Pieces: []team.Piece{}}
	if err := w.reportResult(ctx, r, &remote.GivenUpError{Build: j.ID}); err != nil {
		w.b.Log.Error("cannot report the end of a build", "build", j.ID, "err", err)
	}
}
