// Package pause stops one of the user's Lima instances for a piece of work that cannot be
// done while it runs, and starts it again.
package pause

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"ingot/backend/guest/lima"
)

// Pause describes a pause of one instance.
type Pause struct {
	Name   string
	Notify func(msg string)
	OnLine func(lima.Line) // gets limactl's lines; may be nil
	Limit  time.Duration   // see DownLimit; 0 is DownLimit
}

// DownLimit is how long to wait for the end of a shutdown that began before the work
// failed. Lima gives a guest three minutes.
const DownLimit = 200 * time.Second

// During shuts the running instance down, calls work, and starts the instance again even
// after an error or a cancel, so that a failure does not leave the user's VM stopped.
func (p Pause) During(ctx context.Context, work func() error) (err error) {
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return err
	}
	p.Notify("stopping " + p.Name)
	defer func() {
		if err != nil && !p.wentDown(ctx) {
			return
		}
		now, ferr := lima.Store{}.Instance(p.Name)
		if ferr != nil || now.Status != lima.Stopped {
			return // it was not stopped, or does not exist any more
		}
		p.Notify("starting " + p.Name)
		err = errors.Join(err, l.Start(context.WithoutCancel(ctx), p.Name, p.OnLine))
	}()
	if err := l.Stop(ctx, p.Name, false, p.OnLine); err != nil {
		return err
	}
	return work()
}

// wentDown waits until a VM is stopped whose shutdown may have begun: a limactl that is
// cancelled or fails does not withdraw the order, and the VM can only be started after
// it has stopped. It returns false if the VM keeps running, or does not exist any more.
func (p Pause) wentDown(ctx context.Context) bool {
	now, err := lima.Store{}.Instance(p.Name)
	if err != nil || now.Status == lima.Stopped {
		return err == nil
	}
	p.Notify("waiting until " + p.Name + " has stopped, to start it again")
	limit := cmp.Or(p.Limit, DownLimit)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	down := false
	_ = lima.Store{}.Watch(ctx, func([]lima.Instance, error) { // it returns when ctx is done
		now, err := lima.Store{}.Instance(p.Name)
		if down = err == nil && now.Status == lima.Stopped; down || err != nil {
			cancel()
		}
	})
	if !down && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.Notify(fmt.Sprintf("%s is still running %s after the order to stop: see `ingot vms`", p.Name, limit))
	}
	return down
}

// Copy copies an instance's disk by a method of lima.Instance.CopyMethod; for
// lima.CopyStopped it pauses the instance, see Pause.Limit.
func Copy(ctx context.Context, c lima.Copier, method string, limit time.Duration) (copied lima.Copied, err error) {
	switch method {
	case lima.CopyFrozen:
		return c.Running(ctx)
	case lima.CopyStopped:
		p := Pause{Name: c.Instance.Name, Notify: c.Notify, OnLine: func(l lima.Line) { c.Notify(l.String()) }, Limit: limit}
		err = p.During(ctx, func() (err error) {
			copied, err = c.Direct(ctx)
			return err
		})
		copied.Method = method
		return copied, err
	}
	return c.Direct(ctx)
}
