package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"
)

// Worker takes jobs of a queue and runs them.
type Worker struct {
	Slots  int // of the machine; a job takes as many as its weight, at most all
	Handle Handler
	// Dead is told of a job that was delivered MaxDeliver times without an end;
	// it is out of the queue then. May be nil.
	Dead func(ctx context.Context, j Job)
	// Rests tells that no job of the lane is to be begun now; may be nil. It is
	// asked before each look, so it must be quick.
	Rests func(Lane) bool
	// Outlives lets a job go on while the server is away, beyond the end of its
	// lease: for handlers that can bear another run of the job elsewhere. It is
	// stopped only when the server says that another worker has the lease.
	Outlives bool
	Log      *slog.Logger // may be nil
}

// held is how many jobs a worker may hold that wait for a lease.
const held = 16

// soon is when a worker looks at its lanes again after it was told of a job, or
// has ended one: the server acknowledges a job a moment before its consumer
// offers it. Each look that finds nothing doubles the wait, up to a sixth of
// AckWait; that is how late it sees a job that comes back after a delay or from
// a silent worker.
const soon = 5 * time.Millisecond

// Run works until ctx ends, and returns when every handler has. Jobs that ran
// then stay in the queue.
func (w Worker) Run(ctx context.Context, q *Queue) error {
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	r := &worker{Worker: w, q: q, slots: semaphore.NewWeighted(int64(max(1, w.Slots))), hold: semaphore.NewWeighted(int64(max(1, w.Slots)) + held)}
	var consumers []consumer
	for _, l := range lanes {
		for _, class := range q.opt.Classes {
			c, err := q.stream.Consumer(ctx, laneName(l, class))
			if err != nil {
				return fmt.Errorf("worker: lane %s: %w", l, err)
			}
			consumers = append(consumers, consumer{c, l})
		}
	}
	wake := make(chan *nats.Msg, 64)
	subscription, err := q.conn.ChanSubscribe(wakeSubject, wake)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection may be gone
	if w.Dead != nil {
		stop, err := r.watchDead(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	defer r.running.Wait()
	wait := soon
	again := time.NewTimer(wait)
	defer again.Stop()
	for {
		freed, back := r.freed(), q.back.told() // before the look: what comes during it counts
		if err := r.take(ctx, consumers); err != nil {
			w.Log.Warn("worker", "err", err) // the server is away: the next look may find it
		}
		again.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			wait = soon
		case <-freed:
			wait = soon
		case <-back:
			wait = soon
		case <-again.C:
			wait = min(2*wait, q.opt.AckWait/6)
		}
	}
}

// consumer is a lane's consumer.
type consumer struct {
	jetstream.Consumer
	lane Lane
}

// worker is a Worker at work.
type worker struct {
	Worker
	q       *Queue
	slots   *semaphore.Weighted // running
	hold    *semaphore.Weighted // running or waiting for a lease
	running sync.WaitGroup
	mu      sync.Mutex
	free    chan struct{}
	mine    map[string]chan struct{} // jobs that this worker runs, until closed
}

// alone waits until this worker runs no other delivery of the job: a server that
// was away delivers again what is still being run.
func (w *worker) alone(ctx context.Context, id string, contested func()) (leave func(), err error) {
	for {
		w.mu.Lock()
		busy, taken := w.mine[id]
		if !taken {
			done := make(chan struct{})
			if w.mine == nil {
				w.mine = map[string]chan struct{}{}
			}
			w.mine[id] = done
			w.mu.Unlock()
			return func() {
				w.mu.Lock()
				delete(w.mine, id)
				w.mu.Unlock()
				close(done)
			}, nil
		}
		w.mu.Unlock()
		contested()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-busy:
		}
	}
}

// freed is closed when slots were given back since the last call.
func (w *worker) freed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free == nil {
		w.free = make(chan struct{})
	}
	return w.free
}

func (w *worker) signalFree() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free != nil {
		close(w.free)
		w.free = nil
	}
}

// take starts what the free slots allow, interactive jobs first.
func (w *worker) take(ctx context.Context, consumers []consumer) error {
	if w.q.back.within(w.q.opt.AckWait / 6) {
		return nil // first come those who ran a job while the server was away: they take their leases again
	}
	for ctx.Err() == nil {
		if !w.slots.TryAcquire(1) { // all busy
			return nil
		}
		w.slots.Release(1)
		if !w.hold.TryAcquire(1) {
			return nil
		}
		m, err := w.next(consumers)
		if m == nil {
			w.hold.Release(1)
			return err
		}
		placed := newPlaced()
		w.running.Add(1)
		go func() {
			defer w.running.Done()
			defer w.signalFree()
			defer w.hold.Release(1)
			defer placed.set()
			w.run(ctx, m, placed)
		}()
		<-placed.done // the next look must know which slots are spoken for
	}
	return nil
}

// placed is closed once when a job just taken has its slots, or waits for them
// or for its lease.
type placed struct {
	done chan struct{}
	set  func()
}

func newPlaced() placed {
	done := make(chan struct{})
	return placed{done, sync.OnceFunc(func() { close(done) })}
}

// next fetches one message without waiting; nil when there is none.
func (w *worker) next(consumers []consumer) (jetstream.Msg, error) {
	for _, c := range consumers {
		if w.Rests != nil && w.Rests(c.lane) {
			continue
		}
		batch, err := c.FetchNoWait(1)
		if err != nil {
			return nil, err
		}
		for m := range batch.Messages() {
			return m, nil
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return nil, err
		}
	}
	return nil, nil
}

// run runs one delivery of a job.
func (w *worker) run(ctx context.Context, m jetstream.Msg, p placed) {
	var j Job
	meta, err := m.Metadata()
	if err != nil || json.Unmarshal(m.Data(), &j) != nil {
		w.Log.Error("worker: a message is no job", "subject", m.Subject())
		_ = m.Term() // nobody can run it
		return
	}
	ctx, cancel := context.WithCancelCause(withStopping(ctx))
	defer cancel(nil)
	sub, err := w.q.conn.Subscribe(cancelSubject(j.ID), func(r *nats.Msg) {
		cancel(ErrCancelled)
		_ = r.Respond(nil) // the asker may be gone
	})
	if err != nil {
		return // delivered again after AckWait
	}
	defer func() { _ = sub.Unsubscribe() }()

	beat := &heart{w: w, m: m, j: j, stop: make(chan struct{}), done: make(chan struct{})}
	go beat.run(ctx, cancel)
	err = w.handle(ctx, j, beat, p, Attempt{Number: int(meta.NumDelivered), Last: int(meta.NumDelivered) >= w.q.opt.MaxDeliver})
	close(beat.stop)
	<-beat.done
	w.end(ctx, m, j, err)
	beat.release()
}

// withStopping gives the end of ctx the cause ErrStopping.
func withStopping(ctx context.Context) context.Context {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { cancel(ErrStopping) })
	return out
}

// handle waits for lease and slots and calls the handler.
func (w *worker) handle(ctx context.Context, j Job, beat *heart, p placed, a Attempt) error {
	leave, err := w.alone(ctx, j.ID, p.set)
	if err == nil {
		defer leave()
	}
	var l *lease
	if err == nil {
		l, err = w.q.acquire(ctx, j, p.set)
	}
	if err == nil {
		a.Fence = l.rev
		beat.hold(l) // from here on the heart's
		weight := int64(min(max(1, j.Weight), max(1, w.Slots)))
		if !w.slots.TryAcquire(weight) {
			p.set()
			err = w.slots.Acquire(ctx, weight)
		}
		if err == nil {
			p.set()
			defer w.slots.Release(weight)
			return w.Handle(ctx, j, a)
		}
	}
	if c := context.Cause(ctx); errors.Is(c, ErrCancelled) {
		return w.Handle(ctx, j, a) // to record the end of a job that never ran
	} else if c != nil {
		return c
	}
	return &RetryError{time.Second, err}
}

// end tells the queue how the delivery ended.
func (w *worker) end(ctx context.Context, m jetstream.Msg, j Job, err error) {
	var retry *RetryError
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrLeaseLost):
		w.Log.Warn("worker: lost its lease", "job", j.ID)
		return // it is another one's
	case errors.Is(cause, ErrStopping) && errors.Is(err, context.Canceled):
		_ = m.Nak() // at once to another; otherwise after AckWait
		_ = w.q.conn.Publish(wakeSubject, nil)
		return
	case errors.As(err, &retry):
		_ = m.NakWithDelay(retry.After)
		time.AfterFunc(retry.After, w.signalFree) // to look again then
		return
	}
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := m.DoubleAck(done); err != nil {
		w.Log.Warn("worker: the end of a job was not taken; it will be delivered again", "job", j.ID, "err", err)
	}
}

// watchDead follows the server's word on jobs that were delivered too often.
func (w *worker) watchDead(ctx context.Context) (stop func(), err error) {
	sub, err := w.q.conn.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."+stream+".*", func(m *nats.Msg) {
		var advisory struct {
			Seq uint64 `json:"stream_seq"`
		}
		if json.Unmarshal(m.Data, &advisory) != nil {
			return
		}
		w.bury(ctx, advisory.Seq)
	})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// bury takes a job out of the queue and tells Dead.
func (w *worker) bury(ctx context.Context, seq uint64) {
	all, err := w.q.pending(ctx)
	if err != nil {
		w.Log.Error("worker: a job that was delivered too often", "err", err)
		return
	}
	i := slices.IndexFunc(all, func(k kept) bool { return k.seq == seq })
	if i < 0 {
		return // another worker was first
	}
	w.Dead(ctx, all[i].Job)
	if err := w.q.stream.DeleteMsg(ctx, seq); err != nil {
		w.Log.Error("worker: a job that was delivered too often stays in the queue", "job", all[i].ID, "err", err)
	}
}
