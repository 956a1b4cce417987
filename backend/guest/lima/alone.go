package lima

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ingot/backend/home"
)

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
	if err := home.Flock(ctx, dir, unix.LOCK_EX, func() {
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
