package lima

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/guest"
	"ingot/backend/qemu"
)

// The methods of a copy; the values are stored in evidence.
const (
	CopyDirect  = "direct"                        // of a stopped instance
	CopyFrozen  = "drive-backup frozen"           // of a running one, with frozen file systems
	CopyCrash   = "drive-backup crash-consistent" // of a running one, as after a power failure: journals recover it
	CopyStopped = "stop-export-start"             // of one that the caller stops for the copy
)

// CopyMethod returns the safe way to copy the instance's disk that disturbs it least.
// stop allows a running instance to be shut down; otherwise agree, which may be nil, is
// called if only that is possible. Errors have the causes lima.broken, vm.no-disk and
// vm.must-stop.
func (i Instance) CopyMethod(stop bool, agree func(question string) bool) (string, error) {
	fail := func(id, format string, args ...any) (string, error) {
		return "", cause.With(id, fmt.Errorf("Lima instance "+i.Name+": "+format, args...))
	}
	switch {
	case i.Status == Broken || i.Status == Unknown:
		return fail("lima.broken", "it is %s: %s", i.Status, i.Problem)
	case i.Disk == "":
		return fail("vm.no-disk", "there is no disk in %s; %s", i.Dir, i.Problem)
	case i.Status == Stopped:
		return CopyDirect, nil
	case stop:
		return CopyStopped, nil
	case i.VMType == "qemu":
		return CopyFrozen, nil
	case agree != nil && agree(fmt.Sprintf("%s runs under %s, which cannot copy the disk of a running VM. Stop it, export, and start it again?", i.Name, i.VMType)):
		return CopyStopped, nil
	}
	return fail("vm.must-stop", "it runs under %s", i.VMType)
}

// packed is the assumed ratio of a copy's size to its base's compressed clusters: a
// chosen upper bound, not a measurement.
const packed = 4

// CopyRoom returns the number of bytes that a copy by the method may write. The
// clusters of a disk's base may be compressed, and the copy's are not, or less.
func (i Instance) CopyRoom(method string) uint64 {
	room := i.DiskAllocated
	if i.Base != "" {
		room = max(room, min(room*packed, i.DiskBytes))
	}
	if method == CopyFrozen {
		room *= 2 // QEMU's copy, and the caller's file
	}
	return room
}

// Copied describes how a disk was copied.
type Copied struct {
	Method, Why string       // Why is set if a better method could not be used
	Layers      []disk.Layer // the files that make up the disk, the newest first
	Size        int64        // of the disk as its guest sees it, in bytes
}

// Copier copies the content that an instance's disk has at one moment. It opens the
// instance's files only for reading, and never while another process writes them: a
// running QEMU copies its disk itself.
type Copier struct {
	Instance Instance
	Work     string           // folder for QEMU's copy, which is removed at the end
	Notify   func(msg string) // must not be nil
	// Write writes the caller's file from the disk.
	Write func(ctx context.Context, src disk.Source) error
}

// Direct copies the disk of a stopped instance.
func (c Copier) Direct(ctx context.Context) (out Copied, err error) {
	i := c.Instance
	// the only backing file that Lima uses; the guest can write any name into the first
	// bytes of a raw disk
	im, err := disk.Open(i.Disk, filepath.Join(i.Dir, filenames.BaseDiskLegacy))
	if err != nil {
		return out, err
	}
	defer im.Close()
	out = Copied{Method: CopyDirect, Layers: im.Layers(), Size: im.Size()}
	if err := c.Write(ctx, im); err != nil {
		return out, err
	}
	if err := im.Unchanged(); err != nil {
		return out, err
	}
	// detects a start where QEMU takes no locks (macOS)
	if now, err := (Store{}).Instance(i.Name); err == nil && now.Status != Stopped {
		return out, cause.With("image.changed", fmt.Errorf("it was started while its disk was being read, and is %s now", now.Status))
	}
	return out, nil
}

// Running makes a running instance's QEMU copy its disk, if possible while the guest's
// file systems are frozen, and then writes the caller's file from that copy. Errors of
// QEMU's monitor have the causes vm.busy, vm.gone and vm.no-drive.
func (c Copier) Running(ctx context.Context) (out Copied, err error) {
	out.Method = CopyFrozen
	file := filepath.Join(c.Work, "copy.qcow2")
	if err := c.backup(ctx, file, &out); err != nil {
		return out, backupCause(err)
	}
	im, err := disk.Open(file)
	if err != nil {
		return out, err
	}
	out.Size = im.Size()
	return out, errors.Join(c.Write(ctx, im), im.Close(), os.Remove(file))
}

// backup runs QEMU's job, with frozen file systems if possible.
func (c Copier) backup(ctx context.Context, target string, out *Copied) error {
	m, err := qemu.DialMonitor(ctx, filepath.Join(c.Instance.Dir, filenames.QMPSock))
	if err != nil {
		return err
	}
	defer m.Close()
	drive, err := m.Drive(ctx, c.Instance.Disk)
	if err != nil {
		return err
	}
	if out.Layers, err = c.Instance.layers(); err != nil {
		return err
	}
	thaw, err := c.freeze(ctx, out)
	if err != nil {
		return err
	}
	defer thaw()
	c.Notify("QEMU is copying the disk (" + out.Method + ")")
	return m.Backup(ctx, drive, target, thaw)
}

// layers describes the files that make up the disk, without opening them.
func (i Instance) layers() (list []disk.Layer, err error) {
	for _, f := range []string{i.Disk, i.Base} {
		if f == "" {
			continue
		}
		l, err := disk.Look(f)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// freezeLimit is the longest time for which a guest's file systems are frozen. They are
// needed only until QEMU's job has started: later writes are not in the copy.
const freezeLimit = 30 * time.Second

// freeze freezes the guest's file systems. If that fails the copy is like a disk after
// a power failure, and the record has the reason. thaw may be called more than once.
func (c Copier) freeze(ctx context.Context, out *Copied) (thaw func(), err error) {
	crash := func(why string, err error) {
		out.Method, out.Why = CopyCrash, why
		c.Notify(why + ": " + err.Error())
	}
	g, err := Open(ctx, c.Instance)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		crash("the guest accepts no ssh login", err)
		return func() {}, nil
	}
	end, err := guest.Freeze(ctx, g, freezeLimit)
	if err != nil {
		_ = g.Close() // it has no resources
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
			crash("it is not certain that the guest's file systems were frozen", err)
		}
	}, nil
}

// backupCause adds the cause to an error of QEMU's copy.
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
