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

// alone waits until no other Ingot changes the instance, and keeps others from
// it until leave is called, or this process ends. The lock is an flock(2) on the
// instance's own folder: nothing is written there, all homes and users of the
// store share it, and limactl, which locks other folders, takes no notice. One
// that is not there needs none.
func (l *Limactl) alone(ctx context.Context, name string, said func(Line)) (leave func(), err error) {
	i, err := l.Store.Instance(name)
	if err != nil {
		return func() {}, nil // the verb says what is wrong with it
	}
	dir, err := os.Open(i.Dir)
	if err != nil {
		return nil, &Error{ID: "lima.store", Msg: i.Dir, Err: err}
	}
	for told := false; ; told = true {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = dir.Close() }, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return func() { _ = dir.Close() }, nil // a file system without locks, such as some network ones: as limactl does
		}
		if !told && said != nil {
			said(Line{levelOurs, fmt.Sprintf("another Ingot is changing %s: waiting for it", name)})
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), dir.Close())
		case <-time.After(alonePoll):
		}
	}
}
