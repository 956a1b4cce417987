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
)

// Holder says who holds the lock.
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

// HeldError says that the lock is taken.
type HeldError struct{ Holder Holder }

func (e *HeldError) Error() string {
	return fmt.Sprintf("Ingot's home is in use by %s: wait for it, or set INGOT_HOME to another folder", e.Holder)
}

// LockOptions say how to take the lock.
type LockOptions struct {
	Purpose string
	Wait    bool
	OnWait  func(Holder) // called once, when waiting begins; may be nil
}

// Lock is the held lock. It ends with Unlock or with the process, however that
// ends: it is an flock(2), not the file's existence.
type Lock struct{ f *os.File }

// lockPoll is how often a waiter looks: flock cannot be waited for together
// with a context.
const lockPoll = 200 * time.Millisecond

// Lock takes the home's lock. One process at a time may change the home.
func (h Home) Lock(ctx context.Context, opt LockOptions) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(h.Data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for told := false; ; {
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
		if !told && opt.OnWait != nil {
			opt.OnWait(holder)
		}
		told = true
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPoll):
		}
	}
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

func readHolder(path string) Holder {
	var h Holder
	if b, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(b, &h) // a holder that is just writing shows as "another process"
	}
	return h
}
