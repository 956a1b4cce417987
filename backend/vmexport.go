package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/home"
)

// How a disk was taken; Taken.Method in the evidence.
const (
	TakenDirect  = "direct"                        // of a stopped machine
	TakenFrozen  = "drive-backup frozen"           // of a running one, whose file systems rested
	TakenCrash   = "drive-backup crash-consistent" // as after a power cut: journals make it whole
	TakenStopped = "stop-export-start"
)

// VMExportOptions says what to take.
type VMExportOptions struct {
	Name   string // of the Lima instance
	File   string // to write
	Format string // qcow2 or raw
	Stop   bool   // a running machine may be shut down and started again
	// Agree, which may be nil, is asked where only a stop helps and Stop is not set.
	Agree    func(question string) bool
	Notify   func(msg string)        // may be nil
	Progress func(done, total int64) // bytes of the disk; may be nil
}

// VMExported is what was taken. Sizes are bytes.
type VMExported struct {
	File     string `json:"file"`
	Format   string `json:"format"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Method   string `json:"method"`
	Why      string `json:"why,omitempty"` // the method is not the best one
	Evidence string `json:"evidence"`
	Leaks    *Leaks `json:"leaks"`
}

// VMExport writes the disk of a Lima instance as one file without a backing
// file, searches it for leaks, and keeps signed evidence of it. The instance's
// own files are opened for reading only, and never while something else writes
// to them: a running QEMU copies its disk itself. The machine is left as it was;
// a file is there whole or not at all.
func (b *Backend) VMExport(ctx context.Context, o VMExportOptions) (VMExported, error) {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	vm, method, err := b.planVMExport(ctx, o)
	if err != nil {
		return VMExported{}, err
	}
	work, err := os.MkdirTemp(filepath.Dir(o.File), ".ingot-export-*")
	if err != nil {
		return VMExported{}, &FileError{o.File, err}
	}
	t := &taking{b: b, o: o, vm: vm, work: work, taken: evidence.Taken{Name: vm.Name, Driver: vm.VMType, Method: method}}
	out, err := t.run(ctx)
	if err != nil {
		err = fmt.Errorf("export %s: %w", vm.Name, build.ImageError(err))
	}
	return out, errors.Join(err, os.RemoveAll(work))
}

// planVMExport checks what was asked for and chooses the method.
func (b *Backend) planVMExport(ctx context.Context, o VMExportOptions) (vm VM, method string, err error) {
	if o.Format != "qcow2" && o.Format != "raw" {
		return vm, "", &build.OptionError{Msg: fmt.Sprintf("a machine's disk is exported as qcow2 or raw, not as %q", o.Format)}
	}
	if err := checkOutput(o.File); err != nil {
		return vm, "", err
	}
	if vm, err = FindVM(o.Name); err != nil {
		return vm, "", err
	}
	all, err := VMs(ctx)
	if err != nil {
		return vm, "", err
	}
	for _, of := range all { // a disk may lie outside of Lima's folder
		if sameFile(of.Disk, o.File) || sameFile(of.Base, o.File) {
			return vm, "", &FileError{o.File, fmt.Errorf("it is the disk of %s", of.Name)}
		}
	}
	if method, err = exportMethod(vm, o); err != nil {
		return vm, "", err
	}
	room := exportRoom(vm)
	if method == TakenFrozen {
		room *= 2 // QEMU's copy, and ours of that
	}
	return vm, method, home.NeedSpace(filepath.Dir(o.File), room, "export of "+vm.Name)
}

// packed is how much larger than its base's compressed clusters a copy is taken to
// be: a bound that was chosen, not measured.
const packed = 4

// exportRoom is how much an export may write, in bytes: a disk may stand on a base
// whose clusters are compressed, and the copy's are not, or not as well.
func exportRoom(vm VM) uint64 {
	if vm.Base == "" {
		return vm.DiskAllocated
	}
	return max(vm.DiskAllocated, min(vm.DiskAllocated*packed, vm.DiskBytes))
}

func sameFile(a, b string) bool {
	x, errx := os.Stat(a)
	y, erry := os.Stat(b)
	return errx == nil && erry == nil && os.SameFile(x, y)
}

// exportMethod is the gentlest way that is safe.
func exportMethod(vm VM, o VMExportOptions) (string, error) {
	fail := func(id, format string, args ...any) (string, error) {
		return "", cause.With(id, fmt.Errorf("Lima instance "+vm.Name+": "+format, args...))
	}
	switch {
	case vm.Status == VMBroken || vm.Status == VMUnknown:
		return fail("lima.broken", "it is %s: %s", vm.Status, vm.Problem)
	case vm.Disk == "":
		return fail("vm.no-disk", "there is no disk in %s; %s", vm.Dir, vm.Problem)
	case vm.Status == VMStopped:
		return TakenDirect, nil
	case o.Stop:
		return TakenStopped, nil
	case vm.VMType == "qemu":
		return TakenFrozen, nil
	case o.Agree != nil && o.Agree(fmt.Sprintf("%s runs under %s, which cannot copy its disk meanwhile. Stop it, export, and start it again?", vm.Name, vm.VMType)):
		return TakenStopped, nil
	}
	return fail("vm.must-stop", "it runs under %s", vm.VMType)
}

// taking is one export at work.
type taking struct {
	b     *Backend
	o     VMExportOptions
	vm    VM
	work  string // a folder of its own beside the file
	taken evidence.Taken
}

func (t *taking) run(ctx context.Context) (VMExported, error) {
	out, size, err := t.take(ctx)
	if err != nil {
		return VMExported{}, err
	}
	t.o.Notify("searching it for secrets")
	leaks, err := build.Scan(ctx, out, nil)
	if err != nil {
		return VMExported{}, err
	}
	if err := os.Rename(out, t.o.File); err != nil {
		return VMExported{}, &FileError{t.o.File, err}
	}
	d, a, err := t.b.line().KeepTaken(ctx, t.o.File, evidence.Artifact{Format: t.o.Format, VirtualSize: size, VM: &t.taken, Leaks: leaks})
	if err != nil {
		return VMExported{}, errors.Join(err, os.Remove(t.o.File))
	}
	return VMExported{File: t.o.File, Format: t.o.Format, Size: a.Size, SHA256: d.Subject().SHA256(), Method: t.taken.Method, Why: t.taken.Why, Evidence: d.ID, Leaks: leaks}, nil
}

// take makes the file in work, and gives the disk's virtual size.
func (t *taking) take(ctx context.Context) (file string, size int64, err error) {
	switch t.taken.Method {
	case TakenFrozen:
		return t.running(ctx)
	case TakenStopped:
		return t.stopped(ctx)
	}
	return t.direct(ctx)
}

// direct reads a stopped machine's files.
func (t *taking) direct(ctx context.Context) (string, int64, error) {
	// the one file that Lima lets a disk stand on; the guest can write any name
	// into a raw disk's first bytes
	im, err := disk.Open(t.vm.Disk, filepath.Join(t.vm.Dir, filenames.BaseDiskLegacy))
	if err != nil {
		return "", 0, err
	}
	defer im.Close()
	t.layers(im.Layers())
	out, err := t.write(ctx, im)
	if err != nil {
		return "", 0, err
	}
	if err := im.Unchanged(); err != nil {
		return "", 0, err
	}
	// where QEMU takes no locks (macOS), a machine that was started says it here
	if now, err := FindVM(t.vm.Name); err == nil && now.Status != VMStopped {
		return "", 0, cause.With("image.changed", fmt.Errorf("it was started while its disk was read: it is %s", now.Status))
	}
	return out, im.Size(), nil
}

func (t *taking) layers(list []disk.Layer) {
	t.taken.Layers = nil
	for _, l := range list {
		t.taken.Layers = append(t.taken.Layers, evidence.TakenLayer(l))
	}
}

// write makes the file of the format that was asked for.
func (t *taking) write(ctx context.Context, src disk.Source) (string, error) {
	t.o.Notify("writing " + filepath.Base(t.o.File))
	out := filepath.Join(t.work, "disk")
	sinks := map[string]disk.Sink{"qcow2": disk.Qcow2{Path: out}, "raw": disk.Raw{Path: out}}
	return out, sinks[t.o.Format].Take(ctx, src, t.o.Progress)
}

// stopped shuts the machine down, and starts it again whatever happens.
func (t *taking) stopped(ctx context.Context) (file string, size int64, err error) {
	err = t.b.restart(ctx, t.vm.Name, t.o.Notify, func(l VMLine) { t.o.Notify(l.String()) }, func() (err error) {
		file, size, err = t.direct(ctx)
		return err
	})
	return file, size, err
}
