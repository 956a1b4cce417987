package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ingot/backend/guest/lima"
)

// restart shuts a running machine down, does work, and starts the machine again
// whatever happened meanwhile, a cancel too: nobody's machine stays down because of
// us. notify gets our words, said limactl's.
func (b *Backend) restart(ctx context.Context, name string, notify func(string), said func(VMLine), work func() error) (err error) {
	notify("stopping " + name)
	defer func() {
		if err != nil && !wentDown(ctx, name, notify) {
			return
		}
		now, ferr := FindVM(name)
		if ferr != nil || now.Status != VMStopped {
			return // it never stopped, or is gone
		}
		notify("starting " + name)
		err = errors.Join(err, b.VMStart(context.WithoutCancel(ctx), name, said))
	}()
	if err := VMStop(ctx, name, false, said); err != nil {
		return err
	}
	return work()
}

// goDownLimit is how long a machine that was told to stop may go on with that when
// what it was stopped for has failed meanwhile: Lima gives a guest three minutes.
var goDownLimit = 200 * time.Second

// wentDown waits until a machine is stopped whose stop may have begun: a limactl
// that was cancelled or has failed does not take the order back, and whoever
// starts the machine must wait for its end. It gives false where the machine
// runs on, or is gone.
func wentDown(ctx context.Context, name string, notify func(string)) bool {
	now, err := FindVM(name)
	if err != nil || now.Status == VMStopped {
		return err == nil
	}
	notify("waiting for the end of " + name + ", to start it again")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goDownLimit)
	defer cancel()
	down := false
	_ = lima.Store{}.Watch(ctx, func([]VM, error) { // its end is ctx's
		now, err := FindVM(name)
		if down = err == nil && now.Status == VMStopped; down || err != nil {
			cancel()
		}
	})
	if !down && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		notify(fmt.Sprintf("%s still runs %s after it was told to stop: `ingot vms` shows it", name, goDownLimit))
	}
	return down
}
