package backend

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/jobs"
)

// Owner is the process that holds a home's lock and runs its builds. Faces are
// its clients over a socket; see Client. It comes when the first client needs
// it and leaves after a while without work or clients.
//
// What it must do stands in the ledger: a build's folder gets job.json when the
// build is submitted, and its journal gets an end when it has one. The queue
// can be lost without loss: an owner that begins queues again what has no end.
type Owner struct {
	opt     Options
	home    home.Home
	ledger  evidence.Ledger
	bus     event.Bus
	making  build.Making
	log     *slog.Logger
	idle    time.Duration
	started time.Time

	mu       sync.Mutex
	open     map[string]jobs.Job // builds without an end, by id
	clients  int
	leaving  bool // no new work; away as soon as there is none
	changed  chan struct{}
	queue    *jobs.Queue
	stopWork func()
	afar     map[string]*afar // of open, those that the team builds
	abroad   sync.WaitGroup   // their goroutines
}

// OwnerIdle is how long an owner stays without work and clients, and its queue
// without work. INGOT_OWNER_IDLE (like "5s") changes it.
const OwnerIdle = time.Minute

// RunOwner owns the home until it is idle or ctx ends. ready is called when
// clients can connect. A home that another process holds gives a
// *home.HeldError.
func RunOwner(ctx context.Context, opt Options, ready func()) error {
	b, err := Open(opt)
	if err != nil {
		return err
	}
	lock, err := b.Home.Lock(ctx, home.LockOptions{Purpose: ownerPurpose})
	if err != nil {
		return err
	}
	o := &Owner{opt: opt, home: b.Home, ledger: b.ledger, log: b.log, idle: OwnerIdle, started: time.Now(), open: map[string]jobs.Job{}, afar: map[string]*afar{}, changed: make(chan struct{}, 1)}
	if d, err := time.ParseDuration(os.Getenv("INGOT_OWNER_IDLE")); err == nil && d > 0 {
		o.idle = d
	}
	return errors.Join(o.run(ctx, b, ready), lock.Unlock())
}

// ownerPurpose is what the lock's holder says when it is an owner.
const ownerPurpose = "owner"

func (o *Owner) run(ctx context.Context, b *Backend, ready func()) error {
	unended, err := o.unended()
	if err != nil {
		return err
	}
	goesOn := map[string]bool{}
	for _, j := range unended {
		goesOn[j.ID] = true
	}
	b.bus = &o.bus
	if err := b.line().Recover(goesOn); err != nil {
		return err
	}
	server, err := o.serve()
	if err != nil {
		return err
	}
	defer server.close()
	ready()
	for _, j := range unended {
		o.log.Info("goes on", "build", j.ID, "target", j.Target)
		if err := o.enqueue(ctx, j); err != nil {
			o.fail(j, err)
		}
	}
	o.untilIdle(ctx)
	o.stopAfar()
	o.closeQueue(true)
	return nil
}

// unended reads the submissions whose builds have no end, oldest first.
func (o *Owner) unended() ([]jobs.Job, error) {
	files, err := filepath.Glob(filepath.Join(o.ledger.Dir, "*", "*", jobFile))
	if err != nil {
		return nil, err
	}
	var out []jobs.Job
	for _, f := range files {
		var j jobs.Job
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		bd, err := o.ledger.Build(filepath.Base(filepath.Dir(filepath.Dir(f))), filepath.Base(filepath.Dir(f)))
		if err != nil || json.Unmarshal(data, &j) != nil || j.ID != bd.ID || j.Target != bd.Target {
			o.log.Warn("a submission that cannot be read", "file", f)
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

// untilIdle returns when ctx ends, or when there was neither work nor a client
// for the idle time, or none at all and somebody asked the owner to leave. The
// queue's server is shut down after the idle time without work.
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
			work, clients := len(o.open) > 0, o.clients > 0
			o.leaving = o.leaving || !work && !clients
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

func (o *Owner) mayLeave() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leaving && len(o.open) == 0
}

// touch says that something changed that the owner's leave depends on.
func (o *Owner) touch() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// leave asks the owner to go as soon as there is no work, and to take none
// until then. It tells whether there is none now. The caller touches the owner
// when it has said so.
func (o *Owner) leave() (idle bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving = true
	return len(o.open) == 0
}

func (o *Owner) ended(id string) {
	o.mu.Lock()
	delete(o.open, id)
	o.mu.Unlock()
	o.touch()
}

// slots are what this machine can run at once: a build takes half of a large
// machine, and all of a small one. Each slot stands for a core with 2 GiB.
func slots() int {
	if n := max(2, capacity()/2); n < capacity() {
		return n
	}
	return capacity()
}

func capacity() int {
	cores := runtime.NumCPU()
	if mem := home.Memory(); mem > 0 {
		cores = min(cores, int(mem>>31))
	}
	return max(1, cores)
}

// startQueue starts the embedded server and the worker, if they are not up.
func (o *Owner) startQueue(ctx context.Context) (*jobs.Queue, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue != nil {
		return o.queue, nil
	}
	q, err := jobs.Embedded(ctx, filepath.Join(o.home.Data, "queue"), jobs.Options{})
	if err != nil {
		return nil, err
	}
	wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := jobs.Worker{Slots: capacity(), Handle: o.handle, Dead: o.dead, Rests: batchRests(), Log: o.log}
		if err := w.Run(wctx, q); err != nil {
			o.log.Error("worker", "err", err)
		}
	}()
	o.queue, o.stopWork = q, func() { cancel(); <-done }
	return q, nil
}

// batteryAge is how long a look at the battery counts.
const batteryAge = 30 * time.Second

// batchRests lets the batch lane rest while the battery is low.
func batchRests() func(jobs.Lane) bool {
	var looked time.Time
	var low bool
	return func(l jobs.Lane) bool {
		if l != jobs.Batch {
			return false
		}
		if time.Since(looked) > batteryAge {
			looked, low = time.Now(), home.ReadBattery().Low()
		}
		return low
	}
}

// closeQueue stops worker and server, with work in it only when forced: that
// goes on at the next start.
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
