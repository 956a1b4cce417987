package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend"
	"ingot/backend/build/release"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/guest/lima"
	"ingot/backend/guest/pause"
	"ingot/backend/home"
	"ingot/backend/leak"
)

// ExportOptions are the options of Export.
type ExportOptions struct {
	Name   string // of the Lima instance
	File   string // the file to write
	Format string // of package disk: qcow2, raw, or tar.zst for the files of its root file system
	Stop   bool   // a running VM may be shut down and started again
	// Agree is called if the disk can be copied only from a stopped VM and Stop is not
	// set: true allows the stop. It may be nil.
	Agree    func(question string) bool
	Notify   func(msg string)        // may be nil
	Progress func(done, total int64) // bytes of the disk; may be nil
}

// Exported is the result of Export. Sizes are bytes.
type Exported struct {
	File     string          `json:"file"`
	Format   string          `json:"format"`
	Size     int64           `json:"size"`
	SHA256   string          `json:"sha256"`
	Method   string          `json:"method"`
	Why      string          `json:"why,omitempty"` // why a better method was not used
	Evidence string          `json:"evidence"`
	Leaks    *evidence.Leaks `json:"leaks"`
}

// Export writes the disk of a Lima instance to one file without a backing file, scans
// it for secrets and traces, and records signed evidence of it; see lima.Copier for the
// methods. A VM that was stopped for the copy is started again. The file appears
// complete or not at all.
func Export(ctx context.Context, b *backend.Backend, o ExportOptions) (Exported, error) {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	vm, method, err := planVMExport(ctx, b, o)
	if err != nil {
		return Exported{}, err
	}
	work, err := os.MkdirTemp(filepath.Dir(o.File), ".ingot-export-*")
	if err != nil {
		return Exported{}, &backend.FileError{File: o.File, Err: err}
	}
	t := &taking{b: b, o: o, vm: vm, work: work, taken: evidence.Taken{Name: vm.Name, Driver: vm.VMType, Method: method}}
	out, err := t.run(ctx)
	if err != nil {
		err = fmt.Errorf("export %s: %w", vm.Name, disk.WithCause(err))
	}
	return out, errors.Join(err, os.RemoveAll(work))
}

// planVMExport checks the options and chooses the method.
func planVMExport(ctx context.Context, b *backend.Backend, o ExportOptions) (vm Instance, method string, err error) {
	if _, err := disk.FormatNamed(o.Format); err != nil {
		return vm, "", err
	}
	if err := backend.CheckOutput(o.File); err != nil {
		return vm, "", err
	}
	if vm, err = Find(o.Name); err != nil {
		return vm, "", err
	}
	all, err := List(ctx)
	if err != nil {
		return vm, "", err
	}
	for _, of := range all { // a disk may be outside Lima's folder
		if sameFile(of.Disk, o.File) || sameFile(of.Base, o.File) {
			return vm, "", &backend.FileError{File: o.File, Err: fmt.Errorf("it is the disk of %s", of.Name)}
		}
	}
	if method, err = vm.CopyMethod(o.Stop, o.Agree); err != nil {
		return vm, "", err
	}
	return vm, method, home.NeedSpace(filepath.Dir(o.File), vm.CopyRoom(method), "export of "+vm.Name)
}

func sameFile(a, b string) bool {
	x, errx := os.Stat(a)
	y, erry := os.Stat(b)
	return errx == nil && erry == nil && os.SameFile(x, y)
}

// taking is one running export.
type taking struct {
	b     *backend.Backend
	o     ExportOptions
	vm    Instance
	work  string // a temporary folder beside the file
	taken evidence.Taken
	leaks *evidence.Leaks // of the disk, if the file is made from its files
}

func (t *taking) run(ctx context.Context) (Exported, error) {
	out, size, err := t.take(ctx)
	if err != nil {
		return Exported{}, err
	}
	leaks := t.leaks
	if leaks == nil {
		t.o.Notify("searching the disk for secrets")
		if leaks, err = leak.ScanFile(ctx, out, nil); err != nil {
			return Exported{}, err
		}
	}
	if err := os.Rename(out, t.o.File); err != nil {
		return Exported{}, &backend.FileError{File: t.o.File, Err: err}
	}
	d, a, err := t.b.Line().Records().KeepTaken(ctx, t.o.File, evidence.Artifact{Format: t.o.Format, VirtualSize: size, VM: &t.taken, Leaks: leaks})
	if err != nil {
		return Exported{}, errors.Join(err, os.Remove(t.o.File))
	}
	return Exported{File: t.o.File, Format: t.o.Format, Size: a.Size, SHA256: d.Subject().SHA256(), Method: t.taken.Method, Why: t.taken.Why, Evidence: d.ID, Leaks: leaks}, nil
}

// take writes the disk to a file in work, and returns its path and the disk's virtual
// size in bytes.
func (t *taking) take(ctx context.Context) (file string, size int64, err error) {
	file = filepath.Join(t.work, "disk")
	c := lima.Copier{Instance: t.vm, Work: t.work, Notify: t.o.Notify, Write: func(ctx context.Context, src disk.Source) error { return t.write(ctx, src, file) }}
	copied, err := pause.Copy(ctx, c, t.taken.Method, goDownLimit)
	if err != nil {
		return "", 0, err
	}
	t.taken.Method, t.taken.Why = copied.Method, copied.Why
	for _, l := range copied.Layers {
		t.taken.Layers = append(t.taken.Layers, evidence.TakenLayer(l))
	}
	return file, copied.Size, nil
}

// write writes the disk in the format of the options.
func (t *taking) write(ctx context.Context, src disk.Source, out string) error {
	t.o.Notify("writing " + filepath.Base(t.o.File))
	f, err := disk.FormatNamed(t.o.Format)
	if err != nil {
		return err
	}
	if !f.Bootable { // the file cannot be searched as a disk
		rules, err := leak.Shipped()
		if err != nil {
			return err
		}
		t.o.Notify("searching the disk for secrets")
		if t.leaks, err = rules.Scan(ctx, src, t.o.Progress); err != nil {
			return err
		}
	}
	if f.WriteTree != nil {
		return release.WriteTree(ctx, f, src, out)
	}
	return f.WriteDisk(ctx, src, disk.About{Name: t.vm.Name, Arch: t.vm.Arch}, out, t.o.Progress)
}

// goDownLimit is pause.DownLimit, which tests shorten.
var goDownLimit = pause.DownLimit
