package lima

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alonePoll is the interval between attempts to lock: flock(2) cannot wait for a
// context as well.
const alonePoll = 200 * time.Millisecond

// alone waits until no other Ingot process changes the instance, and returns its state
// then. It excludes other Ingot processes until leave is called, which may be done
// twice, or this process ends. The lock is an flock(2) on the instance's own folder: it
// writes nothing, is shared by all homes and users of the store, and does not affect
// limactl, which locks other folders.
func (l *Limactl) alone(ctx context.Context, name string, onLine func(Line)) (i Instance, leave func(), err error) {
	if i, err = l.Store.Instance(name); err != nil {
		return i, nil, err
	}
	dir, err := os.Open(i.Dir)
	if err != nil {
		return i, nil, &Error{ID: "lima.store", Msg: i.Dir, Err: err}
	}
	leave = func() { _ = dir.Close() }
	if err := wait(ctx, dir, func() {
		if onLine != nil {
			onLine(Line{levelOurs, fmt.Sprintf("another Ingot process is changing %s: waiting for it", name)})
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

// unlessForced is alone, but does not lock if force is set: a forced stop must work
// while a start hangs and holds the lock.
func (l *Limactl) unlessForced(ctx context.Context, name string, force bool, onLine func(Line)) (i Instance, leave func(), err error) {
	if !force {
		return l.alone(ctx, name, onLine)
	}
	i, err = l.Store.Instance(name)
	return i, func() {}, err
}

// wait locks the folder, and calls taken once if another process has the lock. On a
// file system without locks, such as some network ones, it does not exclude anybody.
func wait(ctx context.Context, dir *os.File, taken func()) error {
	for reported := false; ; {
		switch err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil
		}
		if !reported {
			taken()
			reported = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(alonePoll):
		}
	}
}
