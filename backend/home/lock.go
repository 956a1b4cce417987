package home

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ingot/backend/cause"
	"ingot/backend/limit"
)

// Holder describes the process that holds the lock.
type Holder struct {
	PID     int       `json:"pid"`
	Purpose string    `json:"purpose"`
	Since   time.Time `json:"since"`
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d (%s, since %s)", h.PID, h.Purpose, h.Since.Local().Format("15:04:05"))
}

// HeldError reports that another process holds the lock.
type HeldError struct{ Holder Holder }

func (e *HeldError) Error() string {
	return fmt.Sprintf("Ingot's home is in use by %s: wait for it, or set INGOT_HOME to another folder", e.Holder)
}

// ErrorClass sorts the error; see package cause.
func (*HeldError) ErrorClass() cause.Class { return cause.InUse }

// LockOptions configure Home.Lock.
type LockOptions struct {
	Purpose string
	Wait    bool
	OnWait  func(Holder) // called once if the lock is not free at once; may be nil
}

// Lock is the held lock. It is an flock(2), not the existence of the file: it
// ends with Unlock or with the process, even if that is killed.
type Lock struct{ f *os.File }

// lockPoll is the time between two attempts to take the lock: flock cannot wait
// for a context.
const lockPoll = 200 * time.Millisecond

// Flock locks a file or folder that is open, with LOCK_EX or LOCK_SH of flock(2), and
// waits for a process whose lock excludes it; taken is called once before. The lock ends
// with the file or the process. On a file system without locks, such as some network
// ones, it does not exclude anybody.
func Flock(ctx context.Context, f *os.File, how int, taken func()) error {
	for reported := false; ; {
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); {
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
		case <-time.After(lockPoll):
		}
	}
}

// Lock takes the home's lock, without which a process must not change the home.
// Without LockOptions.Wait it returns a *HeldError if another process holds it.
func (h Home) Lock(ctx context.Context, opt LockOptions) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(h.Data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for reported := false; ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return &Lock{f}, writeHolder(f, opt.Purpose)
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		holder := readHolder(f.Name())
		if !opt.Wait {
			return nil, errors.Join(&HeldError{holder}, f.Close())
		}
		if !reported && opt.OnWait != nil {
			opt.OnWait(holder)
		}
		reported = true
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPoll):
		}
	}
}

// LockFile takes an flock(2) of a file, which it creates with mode if there is none:
// how is unix.LOCK_EX or unix.LOCK_SH. It waits for other holders, which must hold it
// for a short time only: the wait does not end with a context. Closing the file
// releases the lock.
func LockFile(path string, mode os.FileMode, how int) (*os.File, error) {
	f, err := limit.OpenFile(path, os.O_CREATE|os.O_RDWR, mode)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}

func writeHolder(f *os.File, purpose string) error {
	b, err := json.Marshal(Holder{os.Getpid(), purpose, time.Now()})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	_, err = f.WriteAt(b, 0)
	return err
}

// Holder describes the process that holds the lock, as far as that is known.
func (h Home) Holder() Holder { return readHolder(filepath.Join(h.Data, "lock")) }

func readHolder(path string) Holder {
	var h Holder
	if b, err := limit.ReadFile(path, limit.Settings); err == nil {
		_ = json.Unmarshal(b, &h) // a file that is being written gives "another process"
	}
	return h
}
