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

// Worker takes jobs from a queue and runs them.
type Worker struct {
	Slots  int // capacity of the machine; a job occupies as many slots as its weight, at most all
	Handle Handler
	// Dead is called with a job that was delivered MaxDeliver times without an
	// end, before the job is removed from the queue. It may be nil.
	Dead func(ctx context.Context, j Job)
	// Paused reports whether no job of the lane may be started now. It is
	// called before each fetch, so it must not block. It may be nil.
	Paused func(Lane) bool
	// KeepOnDisconnect lets a job continue while the server is unreachable,
	// even after its lease has expired. The handler must tolerate that another
	// worker runs the same job meanwhile. The job is cancelled only when the
	// server reports that another worker holds the lease.
	KeepOnDisconnect bool
	Log              *slog.Logger // may be nil
}

// prefetch is the number of jobs that a worker may take beyond its slots; they
// wait for a lease.
const prefetch = 16

// minPoll is the wait before the next fetch after a notification or the end of
// a job: the server acknowledges a job a moment before its consumer delivers
// the next one. Every fetch that finds nothing doubles the wait, up to a sixth
// of AckWait. That is also the delay with which a job is seen that was
// delivered again after a RetryError or an expired acknowledgement.
const minPoll = 5 * time.Millisecond

// Run takes and runs jobs until ctx is done, and returns when every handler has
// returned. Jobs that were running then stay in the queue.
func (w Worker) Run(ctx context.Context, q *Queue) error {
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	r := &worker{Worker: w, q: q, slots: semaphore.NewWeighted(int64(max(1, w.Slots))), prefetched: semaphore.NewWeighted(int64(max(1, w.Slots)) + prefetch)}
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
	defer func() { _ = subscription.Unsubscribe() }() // the connection may be closed
	if w.Dead != nil {
		stop, err := r.watchDead(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	defer r.running.Wait()
	wait := minPoll
	nextPoll := time.NewTimer(wait)
	defer nextPoll.Stop()
	for {
		freed, reconnected := r.freed(), q.reconnects.wait() // before the fetch, so that no signal during it is lost
		if err := r.startJobs(ctx, consumers); err != nil {
			w.Log.Warn("worker", "err", err) // the server is unreachable; the next fetch may succeed
		}
		nextPoll.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			wait = minPoll
		case <-freed:
			wait = minPoll
		case <-reconnected:
			wait = minPoll
		case <-nextPoll.C:
			wait = min(2*wait, q.opt.AckWait/6)
		}
	}
}

// consumer is the JetStream consumer of a lane.
type consumer struct {
	jetstream.Consumer
	lane Lane
}

// worker is the state of a running Worker.
type worker struct {
	Worker
	q          *Queue
	slots      *semaphore.Weighted // running
	prefetched *semaphore.Weighted // running, or waiting for a lease
	running    sync.WaitGroup
	mu         sync.Mutex
	free       chan struct{}
	active     map[string]chan struct{} // jobs that this worker runs; closed when the delivery has ended
}

// exclusive waits until this worker runs no other delivery of the job. After a
// reconnection the server may deliver a job again that is still running here.
func (w *worker) exclusive(ctx context.Context, id string, contested func()) (release func(), err error) {
	for {
		w.mu.Lock()
		finished, running := w.active[id]
		if !running {
			done := make(chan struct{})
			if w.active == nil {
				w.active = map[string]chan struct{}{}
			}
			w.active[id] = done
			w.mu.Unlock()
			return func() {
				w.mu.Lock()
				delete(w.active, id)
				w.mu.Unlock()
				close(done)
			}, nil
		}
		w.mu.Unlock()
		contested()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-finished:
		}
	}
}

// freed returns a channel that is closed when slots become free.
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

// startJobs starts as many jobs as the free slots allow, interactive jobs
// first.
func (w *worker) startJobs(ctx context.Context, consumers []consumer) error {
	if w.q.reconnects.within(w.q.opt.AckWait / 6) {
		return nil // workers that kept running their jobs during the disconnection renew their leases first
	}
	for ctx.Err() == nil {
		if !w.slots.TryAcquire(1) { // all busy
			return nil
		}
		w.slots.Release(1)
		if !w.prefetched.TryAcquire(1) {
			return nil
		}
		m, err := w.next(consumers)
		if m == nil {
			w.prefetched.Release(1)
			return err
		}
		admitted := newAdmission()
		w.running.Add(1)
		go func() {
			defer w.running.Done()
			defer w.signalFree()
			defer w.prefetched.Release(1)
			defer admitted.set()
			w.run(ctx, m, admitted)
		}()
		<-admitted.done // the next iteration must see the slots that this job occupies
	}
	return nil
}

// admission tells startJobs when a fetched job has its slots, or waits for them
// or for its lease: set closes done, once.
type admission struct {
	done chan struct{}
	set  func()
}

func newAdmission() admission {
	done := make(chan struct{})
	return admission{done, sync.OnceFunc(func() { close(done) })}
}

// next fetches one message without waiting; it returns nil if there is none.
func (w *worker) next(consumers []consumer) (jetstream.Msg, error) {
	for _, c := range consumers {
		if w.Paused != nil && w.Paused(c.lane) {
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
func (w *worker) run(ctx context.Context, m jetstream.Msg, p admission) {
	var j Job
	meta, err := m.Metadata()
	if err != nil || json.Unmarshal(m.Data(), &j) != nil {
		w.Log.Error("worker: dropped a message that is not a job: another program writes to the queue", "subject", m.Subject())
		_ = m.Term() // no worker can run it
		return
	}
	ctx, cancel := context.WithCancelCause(withStopping(ctx))
	defer cancel(nil)
	sub, err := w.q.conn.Subscribe(cancelSubject(j.ID), func(r *nats.Msg) {
		cancel(ErrCancelled)
		_ = r.Respond(nil) // the requester may have disconnected
	})
	if err != nil {
		return // delivered again after AckWait
	}
	defer func() { _ = sub.Unsubscribe() }()

	renewer := &renewal{w: w, m: m, j: j, stop: make(chan struct{}), done: make(chan struct{})}
	go renewer.run(ctx, cancel)
	err = w.handle(ctx, j, renewer, p, Attempt{Number: int(meta.NumDelivered), Last: int(meta.NumDelivered) >= w.q.opt.MaxDeliver})
	close(renewer.stop)
	<-renewer.done
	w.end(ctx, m, j, err)
	renewer.release()
}

// withStopping returns a copy of ctx whose cause is ErrStopping when ctx is
// done.
func withStopping(ctx context.Context) context.Context {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { cancel(ErrStopping) })
	return out
}

// handle waits for the lease and the slots and calls the handler.
func (w *worker) handle(ctx context.Context, j Job, renewer *renewal, p admission, a Attempt) error {
	releaseID, err := w.exclusive(ctx, j.ID, p.set)
	if err == nil {
		defer releaseID()
	}
	var l *lease
	if err == nil {
		l, err = w.q.acquire(ctx, j, p.set)
	}
	if err == nil {
		a.Fence = l.rev
		renewer.setLease(l) // renewer releases it
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
		return w.Handle(ctx, j, a) // the handler records the end of a job that never ran
	} else if c != nil {
		return c
	}
	return &RetryError{time.Second, err}
}

// end acknowledges the delivery, or asks for another one, depending on how it
// ended.
func (w *worker) end(ctx context.Context, m jetstream.Msg, j Job, err error) {
	var retry *RetryError
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrLeaseLost):
		w.Log.Warn("worker: lost its lease", "job", j.ID)
		return // another worker holds it
	case errors.Is(cause, ErrStopping) && errors.Is(err, context.Canceled):
		_ = m.Nak() // delivered again at once; if this fails, after AckWait
		_ = w.q.conn.Publish(wakeSubject, nil)
		return
	case errors.As(err, &retry):
		_ = m.NakWithDelay(retry.After)
		time.AfterFunc(retry.After, w.signalFree) // fetch again then
		return
	}
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := m.DoubleAck(done); err != nil {
		w.Log.Warn("worker: the server did not accept the job's acknowledgement; the job will be delivered again", "job", j.ID, "err", err)
	}
}

// watchDead subscribes to the server's advisory about jobs that reached
// MaxDeliver, and removes those jobs. stop ends the subscription.
func (w *worker) watchDead(ctx context.Context) (stop func(), err error) {
	sub, err := w.q.conn.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."+stream+".*", func(m *nats.Msg) {
		var advisory struct {
			Seq uint64 `json:"stream_seq"`
		}
		if json.Unmarshal(m.Data, &advisory) != nil {
			return
		}
		w.removeDead(ctx, advisory.Seq)
	})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// removeDead calls Dead for the job with the sequence number seq and removes it
// from the queue.
func (w *worker) removeDead(ctx context.Context, seq uint64) {
	all, err := w.q.pending(ctx)
	if err != nil {
		w.Log.Error("worker: cannot look up a job that reached the delivery limit", "err", err)
		return
	}
	i := slices.IndexFunc(all, func(k queuedJob) bool { return k.seq == seq })
	if i < 0 {
		return // another worker has removed it
	}
	w.Dead(ctx, all[i].Job)
	if err := w.q.stream.DeleteMsg(ctx, seq); err != nil {
		w.Log.Error("worker: cannot remove a job that reached the delivery limit", "job", all[i].ID, "err", err)
	}
}
