package vm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ingot/backend"
	"ingot/backend/guest/lima"
)

// restart shuts a running VM down, calls work, and starts the VM again even after an
// error or a cancel, so that a failure does not leave the user's VM stopped. notify
// gets Ingot's messages, onLine limactl's lines.
func restart(ctx context.Context, b *backend.Backend, name string, notify func(string), onLine func(Line), work func() error) (err error) {
	notify("stopping " + name)
	defer func() {
		if err != nil && !wentDown(ctx, name, notify) {
			return
		}
		now, ferr := Find(name)
		if ferr != nil || now.Status != Stopped {
			return // it was not stopped, or does not exist any more
		}
		notify("starting " + name)
		err = errors.Join(err, Start(context.WithoutCancel(ctx), b, name, onLine))
	}()
	if err := Stop(ctx, name, false, onLine); err != nil {
		return err
	}
	return work()
}

// goDownLimit is how long to wait for the end of a shutdown that began before the work
// failed. Lima gives a guest three minutes.
var goDownLimit = 200 * time.Second

// wentDown waits until a VM is stopped whose shutdown may have begun: a limactl that is
// cancelled or fails does not withdraw the order, and the VM can only be started after
// it has stopped. It returns false if the VM keeps running, or does not exist any more.
func wentDown(ctx context.Context, name string, notify func(string)) bool {
	now, err := Find(name)
	if err != nil || now.Status == Stopped {
		return err == nil
	}
	notify("waiting until " + name + " has stopped, to start it again")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goDownLimit)
	defer cancel()
	down := false
	_ = lima.Store{}.Watch(ctx, func([]Instance, error) { // it returns when ctx is done
		now, err := Find(name)
		if down = err == nil && now.Status == Stopped; down || err != nil {
			cancel()
		}
	})
	if !down && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		notify(fmt.Sprintf("%s is still running %s after the order to stop: see `ingot vms`", name, goDownLimit))
	}
	return down
}
