package lima

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alonePoll is how often a waiter looks: flock(2) cannot be waited for together
// with a context.
const alonePoll = 200 * time.Millisecond

// alone waits until no other Ingot changes the instance, keeps others from it
// until leave is called, or this process ends, and returns it as it is then.
// leave may be called twice. The lock is an flock(2) on the instance's own
// folder: nothing is written there, all homes and users of the store share it,
// and limactl, which locks other folders, takes no notice.
func (l *Limactl) alone(ctx context.Context, name string, said func(Line)) (i Instance, leave func(), err error) {
	if i, err = l.Store.Instance(name); err != nil {
		return i, nil, err
	}
	dir, err := os.Open(i.Dir)
	if err != nil {
		return i, nil, &Error{ID: "lima.store", Msg: i.Dir, Err: err}
	}
	leave = func() { _ = dir.Close() }
	if err := wait(ctx, dir, func() {
		if said != nil {
			said(Line{levelOurs, fmt.Sprintf("another Ingot is changing %s: waiting for it", name)})
		}
	}); err != nil {
		leave()
		return i, nil, err
	}
	if i, err = l.Store.Instance(name); err != nil {
		leave()
		return i, nil, err
	}
	return i, leave, nil
}

// unlessForced is alone, but waits for nobody when force is set: that is also for
// a start that hangs, and holds the lock.
func (l *Limactl) unlessForced(ctx context.Context, name string, force bool, said func(Line)) (i Instance, leave func(), err error) {
	if !force {
		return l.alone(ctx, name, said)
	}
	i, err = l.Store.Instance(name)
	return i, func() {}, err
}

// wait locks the folder, and calls taken once when somebody else has the lock. A
// file system without locks, such as some network ones, keeps nobody off.
func wait(ctx context.Context, dir *os.File, taken func()) error {
	for told := false; ; {
		switch err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil
		}
		if !told {
			taken()
			told = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(alonePoll):
		}
	}
}
