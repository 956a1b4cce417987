package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// renewal keeps a running job from being delivered to another worker: it
// acknowledges progress and renews the job's lease until stop is closed. done
// is closed when its goroutine has ended.
type renewal struct {
	w    *worker
	m    jetstream.Msg
	j    Job
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	lease *lease
}

// setLease sets the lease that is renewed from now on and that release gives
// back.
func (h *renewal) setLease(l *lease) {
	h.mu.Lock()
	h.lease = l
	h.mu.Unlock()
}

// release gives the lease back. It waits at most 5 s for the server.
func (h *renewal) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lease != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h.lease.release(ctx)
	}
}

// run renews the lease every third of AckWait until h.stop is closed. If no
// renewal succeeded for 5/6 of AckWait, it cancels the job, so that the job
// stops before the lease expires and another worker can start it. With
// KeepOnDisconnect it only logs a warning.
func (h *renewal) run(ctx context.Context, cancel context.CancelCauseFunc) {
	defer close(h.done)
	wait := h.w.q.opt.AckWait
	ticker := time.NewTicker(wait / 3)
	defer ticker.Stop()
	expiry := time.NewTimer(wait * 5 / 6)
	defer expiry.Stop()
	lastErr := errors.New("no answer")
	for {
		select {
		case <-h.stop:
			return
		case <-expiry.C:
			if h.w.KeepOnDisconnect {
				h.w.Log.Warn("worker: the server is unreachable; the job continues", "job", h.j.ID)
				continue
			}
			cancel(&notRenewed{lastErr})
			return
		case <-h.w.q.reconnects.wait():
		case <-ticker.C:
		}
		began := time.Now()
		err := h.renew(ctx, wait/3)
		switch {
		case err == nil:
			expiry.Reset(wait*5/6 - time.Since(began))
		case errors.Is(err, ErrLeaseLost):
			cancel(ErrLeaseLost)
			return
		default:
			lastErr = err
			h.w.Log.Warn("worker: cannot renew the lease", "job", h.j.ID, "err", err)
		}
	}
}

// renew sends one acknowledgement of progress and renews the lease, within
// limit.
func (h *renewal) renew(ctx context.Context, limit time.Duration) error {
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
