package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// heart tells the queue that a job is being run, and keeps its lease.
type heart struct {
	w    *worker
	m    jetstream.Msg
	j    Job
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	lease *lease
}

func (h *heart) hold(l *lease) {
	h.mu.Lock()
	h.lease = l
	h.mu.Unlock()
}

func (h *heart) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lease != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h.lease.release(ctx)
	}
}

// run beats until stopped. The lease is given up a sixth of AckWait before it
// would end by itself, so that its job stops before another one can begin.
func (h *heart) run(ctx context.Context, cancel context.CancelCauseFunc) {
	defer close(h.done)
	wait := h.w.q.opt.AckWait
	ticker := time.NewTicker(wait / 3)
	defer ticker.Stop()
	ends := time.NewTimer(wait * 5 / 6)
	defer ends.Stop()
	silent := errors.New("no answer")
	for {
		select {
		case <-h.stop:
			return
		case <-ends.C:
			if h.w.Outlives {
				h.w.Log.Warn("worker: the server is away, the job goes on", "job", h.j.ID)
				continue
			}
			cancel(&notRenewed{silent})
			return
		case <-h.w.q.back.told():
		case <-ticker.C:
		}
		began := time.Now()
		err := h.beat(ctx, wait/3)
		switch {
		case err == nil:
			ends.Reset(wait*5/6 - time.Since(began))
		case errors.Is(err, ErrLeaseLost):
			cancel(ErrLeaseLost)
			return
		default:
			silent = err
			h.w.Log.Warn("worker: heartbeat", "job", h.j.ID, "err", err)
		}
	}
}

func (h *heart) beat(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := h.m.InProgress(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lease == nil {
		return nil
	}
	return h.lease.renew(ctx, h.j.ID)
}
