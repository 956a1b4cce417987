package backend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/qemu"
)

// freezeLimit is the longest that a guest's file systems rest. They are needed
// so only until QEMU's job has begun: what is written later is not in the copy.
const freezeLimit = 30 * time.Second

// running lets the machine's QEMU copy its disk, and makes our file of that.
func (t *taking) running(ctx context.Context) (string, int64, error) {
	copied := filepath.Join(t.work, "copy.qcow2")
	if err := t.backup(ctx, copied); err != nil {
		return "", 0, backupCause(err)
	}
	im, err := disk.Open(copied)
	if err != nil {
		return "", 0, err
	}
	out, err := t.write(ctx, im)
	return out, im.Size(), errors.Join(err, im.Close(), os.Remove(copied))
}

// backup runs QEMU's job while the guest's file systems rest, where they can.
func (t *taking) backup(ctx context.Context, target string) error {
	m, err := qemu.DialMonitor(ctx, filepath.Join(t.vm.Dir, filenames.QMPSock))
	if err != nil {
		return err
	}
	defer m.Close()
	drive, err := m.Drive(ctx, t.vm.Disk)
	if err != nil {
		return err
	}
	if err := t.look(); err != nil {
		return err
	}
	thaw, err := t.freeze(ctx)
	if err != nil {
		return err
	}
	defer thaw()
	t.o.Notify("QEMU copies the disk (" + t.taken.Method + ")")
	return m.Backup(ctx, drive, target, thaw)
}

// look records the files that the disk is made of, which are not opened.
func (t *taking) look() error {
	var list []disk.Layer
	for _, f := range []string{t.vm.Disk, t.vm.Base} {
		if f == "" {
			continue
		}
		l, err := disk.Look(f)
		if err != nil {
			return err
		}
		list = append(list, l)
	}
	t.layers(list)
	return nil
}

// freeze brings the guest's file systems to rest. Where that does not work the
// copy is like the disk after a power cut, and the record says so. thaw may be
// called more than once.
func (t *taking) freeze(ctx context.Context) (thaw func(), err error) {
	crash := func(why string, err error) {
		t.taken.Method, t.taken.Why = TakenCrash, why
		t.o.Notify(why + ": " + err.Error())
	}
	g, err := lima.Open(ctx, t.vm)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		crash("the guest takes no ssh login", err)
		return func() {}, nil
	}
	end, err := guest.Freeze(ctx, g, freezeLimit)
	if err != nil {
		_ = g.Close() // it holds nothing
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		crash("the guest's file systems could not be frozen", err)
		return func() {}, nil
	}
	thawed := false
	return func() {
		if thawed {
			return
		}
		thawed = true
		if err := errors.Join(end(), g.Close()); err != nil {
			crash("it is not known that the guest's file systems rested", err)
		}
	}, nil
}

// backupCause names why QEMU's copy failed.
func backupCause(err error) error {
	switch {
	case errors.Is(err, qemu.ErrMonitorBusy):
		return cause.With("vm.busy", err)
	case errors.Is(err, qemu.ErrMonitorGone):
		return cause.With("vm.gone", err)
	case errors.Is(err, qemu.ErrNoDrive):
		return cause.With("vm.no-drive", err)
	}
	return err
}
