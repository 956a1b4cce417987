// Package owner is the process that holds a home's lock, serves its socket and
// runs its builds, on this computer or, with a team, on other machines
// (remote.go).
package owner

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build/outputs"
	"ingot/backend/build/recovery"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/guest/forge"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
	"ingot/backend/jobs"
	"ingot/backend/limit"
	"ingot/backend/remote"
)

// Owner is the process that holds a home's lock and runs its builds. The
// command line and the app are its clients over a socket (package client). The
// first client that needs an owner starts it. It ends after a time without
// builds and clients.
//
// The ledger records what an owner has to do: submitting a build writes
// job.json into its folder, and the end of the build is an event in its
// journal. The queue itself may be lost: a new owner queues every build again
// that has no end.
type Owner struct {
	opt     backend.Options
	home    home.Home
	ledger  evidence.Ledger
	bus     event.Bus
	making  outputs.Making
	log     *slog.Logger
	idle    time.Duration
	started time.Time

	mu         sync.Mutex
	open       map[string]jobs.Job // builds without an end, by id
	clients    int
	leaving    bool        // accept no more builds, and end when the current ones have ended
	reclaiming atomic.Bool // what a killed owner left is being removed
	changed    chan struct{}
	queue      *jobs.Queue
	stopWork   func()
	remote     map[string]*remoteBuild // those of open that a worker of the team builds
	remoteRuns sync.WaitGroup          // the goroutines of remote
}

// Idle is the time without builds and clients after which an owner ends, and
// the time without builds after which it shuts its queue down. INGOT_OWNER_IDLE
// (such as "5s") overrides it.
const Idle = time.Minute

// Run holds the home's lock and serves clients until the owner is idle or ctx
// is done. It calls ready when clients can connect. If another process holds
// the home, it returns a *home.HeldError.
func Run(ctx context.Context, opt backend.Options, ready func()) error {
	b, err := backend.Open(opt)
	if err != nil {
		return err
	}
	lock, err := b.Home.Lock(ctx, home.LockOptions{Purpose: api.OwnerPurpose})
	if err != nil {
		return err
	}
	opt.Forge = b.NewForge()
	o := &Owner{opt: opt, home: b.Home, ledger: b.Ledger, log: b.Log, idle: Idle, started: time.Now(), open: map[string]jobs.Job{}, remote: map[string]*remoteBuild{}, changed: make(chan struct{}, 1)}
	if d, err := time.ParseDuration(os.Getenv("INGOT_OWNER_IDLE")); err == nil && d > 0 {
		o.idle = d
	}
	return errors.Join(o.run(ctx, b, ready), lock.Unlock())
}

func (o *Owner) run(ctx context.Context, b *backend.Backend, ready func()) error {
	unfinished, err := o.unfinished()
	if err != nil {
		return err
	}
	resumed := map[string]bool{}
	for _, j := range unfinished {
		resumed[j.ID] = true
	}
	b.Bus = &o.bus
	if err := b.Recover(resumed); err != nil {
		return err
	}
	rctx, stop := context.WithTimeout(ctx, reclaimLimit)
	defer stop()
	var reclaiming sync.WaitGroup
	o.reclaiming.Store(true)
	reclaiming.Go(func() {
		reclaim(rctx, b)
		o.reclaiming.Store(false)
		o.notifyChanged()
	})
	defer func() { // an idle owner has waited for it; one that was asked to end leaves the rest to the next one
		time.AfterFunc(reclaimGrace, stop)
		reclaiming.Wait()
	}()
	for _, j := range unfinished { // before the first client asks
		o.log.Info("build resumed", "build", j.ID, "target", j.Target)
		if err := o.enqueue(ctx, j); err != nil {
			o.recordFailure(j, err)
		}
	}
	defer o.closeQueue(true)
	server, err := o.serve()
	if err != nil {
		return err
	}
	defer server.close()
	ready()
	if b.DefaultGuest() == lima.GuestName(forge.Name) {
		o.opt.Forge.Adopt()
	}
	o.untilIdle(ctx)
	o.stopRemote()
	o.closeQueue(true)
	return o.opt.Forge.Close(context.WithoutCancel(ctx))
}

// Bounds of the removal of what a killed owner left, in a computer's own guest: a kernel's
// tree has 80,000 files, and its removal has taken more than a minute on a busy computer.
const (
	reclaimLimit = 15 * time.Minute
	reclaimGrace = time.Minute // after the owner was asked to end
)

// reclaim ends what a killed owner's builds left running on this computer and removes
// their work directories. A build that goes on does the same when it opens its guest, but
// may be cancelled before. What is in other guests is removed by the next build there.
func reclaim(ctx context.Context, b *backend.Backend) {
	if guest.LocalOff() {
		return
	}
	if err := recovery.Reclaim(ctx, b.Children(), &guest.Local{}); err != nil {
		b.Log.Warn("left by a killed process", "err", err)
	}
}

// unfinished returns the submitted builds that have no end, oldest first.
func (o *Owner) unfinished() ([]jobs.Job, error) {
	files, err := filepath.Glob(filepath.Join(o.ledger.Dir, "*", "*", jobFile))
	if err != nil {
		return nil, err
	}
	var out []jobs.Job
	for _, f := range files {
		var j jobs.Job
		data, err := limit.ReadFile(f, limit.Settings)
		if err != nil {
			return nil, err
		}
		bd, err := o.ledger.Build(filepath.Base(filepath.Dir(filepath.Dir(f))), filepath.Base(filepath.Dir(f)))
		if err != nil || json.Unmarshal(data, &j) != nil || j.ID != bd.ID || j.Target != bd.Target {
			o.log.Warn("skipped a submission that cannot be read", "file", f)
			continue
		}
		events, err := bd.Journal()
		if err == nil && !event.Ended(events) {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b jobs.Job) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out, nil
}

// untilIdle returns when ctx is done, when there was neither a build, a removal of what a
// killed owner left, nor a client for the idle time, or when the owner was asked to end and no build is
// left. It shuts the queue's server down after the idle time without builds.
func (o *Owner) untilIdle(ctx context.Context) {
	timer := time.NewTimer(o.idle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.changed:
			if o.mayLeave() {
				return
			}
			timer.Reset(o.idle)
		case <-timer.C:
			o.mu.Lock()
			work, clients := len(o.open) > 0 || o.opt.Forge.Busy(), o.clients > 0
			o.leaving = o.leaving || !work && !clients && !o.reclaiming.Load()
			o.mu.Unlock()
			if !work {
				o.closeQueue(false)
			}
			if o.mayLeave() {
				return
			}
			timer.Reset(o.idle)
		}
	}
}

// mayLeave reports whether the owner was asked to end and has no builds.
func (o *Owner) mayLeave() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leaving && len(o.open) == 0
}

// notifyChanged makes untilIdle check again whether the owner may end. It does
// not block.
func (o *Owner) notifyChanged() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// leave makes the owner end as soon as it has no builds, and accept none until
// then. It reports whether it has none now. The caller must call notifyChanged
// after it has sent its answer.
func (o *Owner) leave() (idle bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving = true
	return len(o.open) == 0
}

// finished removes a build from those that have no end.
func (o *Owner) finished(id string) {
	o.mu.Lock()
	delete(o.open, id)
	o.mu.Unlock()
	o.notifyChanged()
}

// startQueue starts the embedded server and the worker unless they are running.
func (o *Owner) startQueue(ctx context.Context) (*jobs.Queue, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue != nil {
		return o.queue, nil
	}
	config, err := o.home.LoadConfig()
	if err != nil {
		return nil, err
	}
	slots, _ := remote.Shares(config.Workers)
	q, err := jobs.Embedded(ctx, filepath.Join(o.home.Data, "queue"), jobs.Options{})
	if err != nil {
		return nil, err
	}
	wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := jobs.Worker{Slots: slots, Handle: o.handle, Dead: o.recordGivenUp, Paused: remote.PauseBatchOnLowBattery(), Log: o.log}
		if err := w.Run(wctx, q); err != nil {
			o.log.Error("worker", "err", err)
		}
	}()
	o.queue, o.stopWork = q, func() { cancel(); <-done }
	return q, nil
}

// closeQueue stops the worker and the server. If builds are queued or running,
// it does so only with force; the next owner resumes them.
func (o *Owner) closeQueue(force bool) {
	o.mu.Lock()
	if len(o.open) > 0 && !force {
		o.mu.Unlock()
		return
	}
	q, stop := o.queue, o.stopWork
	o.queue, o.stopWork = nil, nil
	o.mu.Unlock()
	if q != nil {
		stop()
		q.Close()
	}
}
