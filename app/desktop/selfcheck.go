package desktop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// SelfCheck is a check of what the desktop does for a running menu; package macproof
// lists what the ids mean.
type SelfCheck struct {
	ID  string
	Run func(ctx context.Context) error // a SkipError says that it was not tried
}

// SkipError says why a check was not tried.
type SkipError string

func (e SkipError) Error() string { return string(e) }

// Running is what the checks need of the menu that runs in this process.
type Running struct {
	Notifier Notifier        // nil without a notification server
	Data     string          // folder of the home
	Log      string          // file that the menu's log goes to; "" if it goes to the terminal
	Opened   <-chan struct{} // receives a value when the menu has opened the window
}

// Limits of the checks. The idle time is measured in processor time: the menu may take a
// hundredth of it.
const (
	selfLimit = 30 * time.Second
	idleTime  = 5 * time.Second
	idleShare = 100
)

// SelfChecks returns the checks in the order in which they run.
func SelfChecks(r Running) []SelfCheck {
	return []SelfCheck{
		{"app.bundle", func(context.Context) error { return checkBundle() }},
		{"app.log", func(context.Context) error { return checkLog(r) }},
		{"app.notes-allowed", checkNotesAllowed},
		{"app.note", func(ctx context.Context) error { return checkNote(ctx, r.Notifier) }},
		{"app.block", func(context.Context) error { return checkBlock() }},
		{"app.login", func(context.Context) error { return checkLogin() }},
		{"app.idle", checkIdle},
		{"app.reopen", func(ctx context.Context) error { return checkReopen(ctx, r.Opened) }},
		{"app.front", checkFront},
	}
}

func checkLog(r Running) error {
	dir, err := LogDir(r.Data)
	if err != nil {
		return err
	}
	if r.Log == "" {
		return SkipError("it was started from a terminal, which gets its log")
	}
	if filepath.Dir(r.Log) != dir {
		return fmt.Errorf("the log is %s, not in %s", r.Log, dir)
	}
	info, err := os.Stat(r.Log)
	if err == nil && info.Size() == 0 {
		err = errors.New(r.Log + " is empty")
	}
	return err
}

// checkLogin switches starting at login over and back.
func checkLogin() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	was := AtLogin()
	change := func(on bool) error {
		if err := SetAtLogin(on, self); err != nil {
			return err
		}
		if AtLogin() != on {
			return fmt.Errorf("it was set to %v, and is %v", on, !on)
		}
		return nil
	}
	return errors.Join(change(!was), change(was))
}

// checkIdle waits until this process does next to nothing for idleTime: at its start it
// reads the home and starts the owner.
func checkIdle(ctx context.Context) error {
	for {
		before, err := cpuTime()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is never idle for %s", idleTime)
		case <-time.After(idleTime):
		}
		after, err := cpuTime()
		if err != nil {
			return err
		}
		if after-before <= idleTime/idleShare {
			return nil
		}
	}
}

func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// checkReopen launches this program again: it must end, and the running menu must open
// the window.
func checkReopen(ctx context.Context, opened <-chan struct{}) error {
	select { // an earlier one
	case <-opened:
	default:
	}
	if err := launchAgain(ctx); err != nil {
		return err
	}
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return errors.New("the running menu did not notice")
	}
}

// checkFront waits until the window is in front.
func checkFront(ctx context.Context) error {
	defer func() { _, _ = Ask(context.WithoutCancel(ctx), WindowRole, RequestClose) }() // there may be none
	return poll(ctx, func() (bool, error) {
		front, err := inFront(ctx)
		if err != nil {
			err = fmt.Errorf("the window is not in front: %s", front)
		}
		return err == nil, err
	})
}

// pollPause is the time between two looks at something that has no event to wait for.
const pollPause = 200 * time.Millisecond

// poll calls look until it is done or ctx is, and returns its last error.
func poll(ctx context.Context, look func() (done bool, err error)) error {
	for {
		done, err := look()
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pollPause):
		}
	}
}

// Check runs one check within its time.
func (c SelfCheck) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, selfLimit)
	defer cancel()
	return c.Run(ctx)
}
