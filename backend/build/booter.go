package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend/disk"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/proof"
	"ingot/backend/qemu"
)

// QEMU boots artifacts with QEMU on this computer.
type QEMU struct {
	Arch  string // of the guest
	Cache string // where probe results are kept

	Children event.Children
	SSHPort  int // see qemu.Machine; proofs have none
}

// Boot starts a machine: its own firmware variables, an empty overlay over the
// read-only image, and read-only seed and tools disks.
func (q QEMU) Boot(ctx context.Context, req proof.Request) (proof.Machine, error) {
	m, err := q.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Start is Boot, for those who do more with the machine than a proof does.
func (q QEMU) Start(ctx context.Context, req proof.Request) (*Machine, error) {
	host, err := qemu.FindHost(ctx, q.Arch)
	if err != nil {
		return nil, hostError(err)
	}
	accel := qemu.Accel{Name: req.Accel}
	if req.Accel == "" {
		if accel, err = qemu.ChooseAccel(ctx, host, q.Cache); err != nil {
			return nil, fmt.Errorf("accelerator: %w", err)
		}
	}
	dir, err := os.MkdirTemp(shortTemp(), machineFolder)
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	m := qemu.Machine{Host: host, Accel: accel.Name, CPUs: max(1, req.CPUs), Memory: req.Memory, Dir: dir, LogFile: req.Serial, SSHPort: q.SSHPort, VarsFD: filepath.Join(dir, "vars.fd")}
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

// machineFolder is how the names of machines' folders begin.
const machineFolder = "ingot-vm-"

// shortTemp keeps socket paths below macOS's limit of 104 bytes, which
// $TMPDIR there comes close to.
func shortTemp() string {
	if len(os.TempDir()) > 40 {
		return "/tmp"
	}
	return ""
}

// prepare makes the files that the machine needs.
func prepare(m *qemu.Machine, req proof.Request) error {
	if err := qemu.CopyVars(m.Host.Firmware, m.VarsFD); err != nil {
		return err
	}
	info, err := disk.Inspect(req.Image)
	if err != nil {
		return ImageError(err)
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

// Machine is a running QEMU as proof sees it.
type Machine struct {
	*qemu.VM
	dir    string
	child  event.Child
	record proof.Record
}

// Console is the serial line.
func (m *Machine) Console() proof.Console { return m.Serial }

// Record is how the machine was started.
func (m *Machine) Record() proof.Record { return m.record }

// Kill ends QEMU and removes the machine's files.
func (m *Machine) Kill() {
	m.VM.Kill()
	_ = os.RemoveAll(m.dir) // in the temporary folder; nothing depends on it
	_ = m.child.Forget()    // a record that stays names a process that is gone
}

// hostError gives what is missing on this computer its cause.
func hostError(err error) error {
	var tool *home.ToolMissingError
	var fw *qemu.FirmwareMissingError
	switch {
	case errors.As(err, &tool):
		return causeError("qemu.binary-missing", err)
	case errors.As(err, &fw):
		return causeError("qemu.firmware-missing", err)
	}
	return err
}

// ImageError gives an image that is refused its cause.
func ImageError(err error) error {
	switch {
	case errors.Is(err, disk.ErrInUse):
		return causeError("image.in-use", err)
	case errors.Is(err, disk.ErrNoBacking):
		return causeError("image.no-backing", err)
	case errors.Is(err, disk.ErrChanged):
		return causeError("image.changed", err)
	case errors.Is(err, disk.ErrTruncated):
		return causeError("image.truncated", err)
	case errors.Is(err, disk.ErrHostile):
		return causeError("image.hostile", err)
	case errors.Is(err, os.ErrNotExist):
		return causeError("image.missing", err)
	case errors.Is(err, disk.ErrUnreadable):
		return causeError("image.unreadable", err)
	}
	return err
}
