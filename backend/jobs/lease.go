package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lease is the right to run a target's job. It ends by itself AckWait after its
// last renewal.
type lease struct {
	kv  jetstream.KeyValue
	key string
	rev uint64
}

// leasePoll is how often a waiter tries: an expiry is no event that one could
// wait for.
const leasePoll = 250 * time.Millisecond

// acquire waits for the target's lease. contested is called when another job
// has it; it may be called often.
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

// renew keeps the lease for another AckWait. ErrLeaseLost says that another
// holder has it, or had it since.
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
	// it ended while this computer slept or its clock jumped, or another has it
	rev, err = l.kv.Create(ctx, l.key, []byte(id))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return ErrLeaseLost
	}
	if err == nil {
		l.rev = rev
	}
	return err
}

// release gives the lease back, unless another holder has it.
func (l *lease) release(ctx context.Context) {
	if l.kv != nil {
		_ = l.kv.Delete(ctx, l.key, jetstream.LastRevision(l.rev)) // otherwise it ends by itself
	}
}
