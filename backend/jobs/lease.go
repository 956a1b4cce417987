package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lease is the exclusive right to run a target's job. It expires AckWait after
// the last renewal. The zero value is a lease that needs no renewal
// (Options.NoLeases).
type lease struct {
	kv  jetstream.KeyValue
	key string
	rev uint64
}

// leasePoll is the time between two attempts to acquire a lease. The server
// sends no notification when a key expires.
const leasePoll = 250 * time.Millisecond

// acquire waits until the target's lease is free and takes it. While another
// job has the lease, it calls contested before each wait.
func (q *Queue) acquire(ctx context.Context, j Job, contested func()) (*lease, error) {
	l := &lease{kv: q.leases, key: token(j.Target)}
	if q.opt.NoLeases {
		return &lease{}, nil
	}
	poll := time.NewTicker(leasePoll)
	defer poll.Stop()
	for {
		rev, err := l.kv.Create(ctx, l.key, []byte(j.ID))
		if err == nil {
			l.rev = rev
			return l, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && ctx.Err() == nil {
			return nil, fmt.Errorf("lease of %s: %w", j.Target, err)
		}
		contested()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-poll.C:
		}
	}
}

// renew extends the lease by AckWait. It returns ErrLeaseLost if another worker
// holds the lease, or held it in the meantime.
func (l *lease) renew(ctx context.Context, id string) error {
	if l.kv == nil {
		return nil
	}
	rev, err := l.kv.Update(ctx, l.key, []byte(id), l.rev)
	if err == nil {
		l.rev = rev
		return nil
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		return err
	}
	// the lease expired, for example while this computer was suspended, or another worker holds it
	rev, err = l.kv.Create(ctx, l.key, []byte(id))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return ErrLeaseLost
	}
	if err == nil {
		l.rev = rev
	}
	return err
}

// release gives the lease back, unless another worker holds it.
func (l *lease) release(ctx context.Context) {
	if l.kv != nil {
		_ = l.kv.Delete(ctx, l.key, jetstream.LastRevision(l.rev)) // if this fails, the lease expires
	}
}
