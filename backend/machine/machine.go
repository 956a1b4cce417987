// Package machine boots disks with QEMU on this computer, for proofs and for
// interactive use. The disk file is opened read-only; an overlay takes the guest's
// writes.
package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/event"
	"ingot/backend/fetch"
	"ingot/backend/home"
	"ingot/backend/proof"
	"ingot/backend/qemu"
)

// QEMU boots artifacts with QEMU on this computer.
type QEMU struct {
	Arch  string // of the guest
	Board qemu.Board
	Cache string // folder of the results of accelerator probes

	Children event.Children
	SSHPort  int // see qemu.Machine; proofs use none
}

// Boot starts a machine with its own copy of the firmware variables, an empty overlay
// over the read-only image, and read-only seed and tools disks. A QEMU that does not
// start is a *proof.LaunchError.
func (q QEMU) Boot(ctx context.Context, req proof.Request) (proof.Machine, error) {
	m, err := q.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Distrust makes the next machines start without an accelerator under which one hung,
// for an hour: each such boot waits for a minute and a half before it is tried under TCG.
func (q QEMU) Distrust(ctx context.Context, accelerator, cause string) {
	host, err := qemu.FindHostBy(ctx, q.Arch, q.Board.Firmware, fetch.Digest)
	if err == nil {
		qemu.Distrust(host, q.Cache, accelerator, cause)
	}
}

// Start is Boot for callers that need more of the machine than proof.Machine has.
func (q QEMU) Start(ctx context.Context, req proof.Request) (*Machine, error) {
	host, err := qemu.FindHostBy(ctx, q.Arch, q.Board.Firmware, fetch.Digest)
	if err != nil {
		return nil, HostError(err)
	}
	accel := qemu.Accel{Name: req.Accel}
	if req.Accel == "" {
		if accel, err = qemu.ChooseAccel(ctx, host, q.Cache); err != nil {
			return nil, fmt.Errorf("accelerator: %w", err)
		}
	}
	sandboxed, err := qemu.Sandboxed(ctx, host, accel.Name, q.Cache)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	dir, err := os.MkdirTemp(shortTemp(), FolderPrefix)
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	m := q.machine(host, accel.Name, dir, req)
	m.Sandbox = sandboxed
	vm := &Machine{dir: dir, record: proof.Record{QEMU: host.Version, Firmware: host.FirmwareDigest, Accelerator: accel.Name, Tried: accel.Tried}}
	if err := prepare(&m, req); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	vm.record.Argv = m.Argv()
	m.Started = func(pid int) (err error) {
		vm.child, err = q.Children.Add(event.Child{PID: pid, Folder: dir})
		return err
	}
	started, err := qemu.Start(ctx, m)
	if err != nil {
		rmErr := errors.Join(os.RemoveAll(dir), vm.child.Forget())
		var launch *qemu.LaunchError
		if errors.As(err, &launch) && ctx.Err() == nil {
			return nil, &proof.LaunchError{Record: vm.record, Stderr: launch.Stderr, Err: err}
		}
		return nil, errors.Join(err, rmErr)
	}
	vm.VM = started
	return vm, nil
}

// machine returns the configuration of the machine of a request.
func (q QEMU) machine(host qemu.Host, accel, dir string, req proof.Request) qemu.Machine {
	return qemu.Machine{Host: host, Board: q.Board, Accel: accel, CPUs: max(1, req.CPUs), Memory: max(req.Memory, q.Board.MinMemory), Dir: dir, LogFile: req.Serial, SSHPort: q.SSHPort, VarsFD: filepath.Join(dir, "vars.fd")}
}

// FolderPrefix begins the names of the machines' temporary folders.
const FolderPrefix = "ingot-vm-"

// shortTemp returns the parent of a machine's folder, "" for $TMPDIR. It keeps socket
// paths below macOS's limit of 104 bytes, which $TMPDIR nearly exhausts there.
func shortTemp() string {
	if len(os.TempDir()) > 40 {
		return "/tmp"
	}
	return ""
}

// prepare creates the files that the machine needs: firmware variables and overlay.
func prepare(m *qemu.Machine, req proof.Request) error {
	if m.Host.Firmware.Vars != "" {
		if err := qemu.CopyVars(m.Host.Firmware, m.VarsFD); err != nil {
			return err
		}
	}
	info, err := disk.Inspect(req.Image)
	if err != nil {
		return disk.WithCause(err)
	}
	overlay := filepath.Join(m.Dir, "overlay.qcow2")
	if err := disk.CreateOverlay(overlay, info.VirtualSize); err != nil {
		return err
	}
	m.Disks = []qemu.Disk{{Path: req.Image, Format: req.Format, Overlay: overlay}}
	for _, extra := range []string{req.Seed, req.Tools} {
		if extra != "" {
			m.Disks = append(m.Disks, qemu.Disk{Path: extra, Format: "raw"})
		}
	}
	return nil
}

// Machine is a running QEMU. It implements proof.Machine.
type Machine struct {
	*qemu.VM
	dir    string
	child  event.Child
	record proof.Record
}

// Console returns the serial console.
func (m *Machine) Console() proof.Console { return m.Serial }

// Record returns how the machine was started.
func (m *Machine) Record() proof.Record { return m.record }

// Kill ends QEMU and removes the machine's files.
func (m *Machine) Kill() {
	m.VM.Kill()
	_ = os.RemoveAll(m.dir) // a temporary folder, which nothing depends on
	_ = m.child.Forget()    // a record that remains names a process that has ended
}

// HostError adds a cause to an error that reports QEMU or its firmware as missing on
// this computer.
func HostError(err error) error {
	var tool *home.ToolMissingError
	var fw *qemu.FirmwareMissingError
	switch {
	case errors.As(err, &tool):
		return cause.With("qemu.binary-missing", err)
	case errors.As(err, &fw):
		return cause.With("qemu.firmware-missing", err)
	}
	return err
}
