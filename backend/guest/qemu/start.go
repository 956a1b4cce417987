// Package qemu starts machines of Ingot's own with QEMU on this computer, for proofs, for
// interactive use, and as guests in which commands run over ssh. The disk that a machine
// starts from is opened read-only; an overlay takes the machine's writes.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend/disk"
	"ingot/backend/event"
	"ingot/backend/fetch"
	emulator "ingot/backend/qemu"
)

// Options describe a machine.
type Options struct {
	Arch     string // Go's name
	Board    emulator.Board
	Accel    string // "" chooses one by trying
	CPUs     int    // 0 means 1
	Memory   int64  // bytes; never less than the board needs
	Cache    string // folder of the results of accelerator probes
	Children event.Children

	Image, Format string   // the disk that is opened read-only: qcow2 or raw
	Overlay       string   // qcow2 file that takes the writes and is kept; made if it does not exist; "" is one that ends with the machine
	Media         []string // further read-only disks in raw format, such as a seed; "" is left out

	Console string // file to which QEMU writes the console; "" for none
	SSHPort int    // see emulator.Machine
	MAC     string // of the network device; "" is QEMU's
}

// Record describes how a machine was started.
type Record struct {
	Argv        []string
	QEMU        string // first line of its --version
	Firmware    string // SHA-256 of the code file
	Accelerator string
	Tried       []string // accelerators that did not run, with the reasons
}

// LaunchError reports that QEMU ended before the machine ran.
type LaunchError struct {
	Record Record
	Stderr string
	Err    error
}

func (e *LaunchError) Error() string { return fmt.Sprintf("the machine did not start: %v", e.Err) }
func (e *LaunchError) Unwrap() error { return e.Err }

// Machine is a running machine. Its end frees everything but the overlay and the console
// log that its options name.
type Machine struct {
	*emulator.VM
	Record Record

	dir   string
	child event.Child
}

// FolderPrefix begins the names of the machines' temporary folders.
const FolderPrefix = "ingot-vm-"

// Start starts a machine with its own copy of the firmware variables. It goes on until
// Kill, or until ctx is done. A QEMU that does not
// start is a *LaunchError.
func Start(ctx context.Context, o Options) (*Machine, error) {
	host, err := emulator.FindHostBy(ctx, o.Arch, o.Board.Firmware, fetch.Digest)
	if err != nil {
		return nil, err
	}
	accel := emulator.Accel{Name: o.Accel}
	if o.Accel == "" {
		if accel, err = emulator.ChooseAccel(ctx, host, o.Cache); err != nil {
			return nil, fmt.Errorf("accelerator: %w", err)
		}
	}
	sandboxed, err := emulator.Sandboxed(ctx, host, accel.Name, o.Cache)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	dir, err := os.MkdirTemp(shortTemp(), FolderPrefix)
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	m := o.machine(host, accel.Name, dir)
	m.Sandbox = sandboxed
	if m.Disks, err = o.disks(dir); err == nil && host.Firmware.Vars != "" {
		err = emulator.CopyVars(host.Firmware, m.VarsFD)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	started := &Machine{dir: dir, Record: Record{QEMU: host.Version, Firmware: host.FirmwareDigest, Accelerator: accel.Name, Tried: accel.Tried, Argv: m.Argv()}}
	m.Started = func(pid int) (err error) {
		started.child, err = o.Children.Add(event.Child{PID: pid, Folder: dir})
		return err
	}
	if started.VM, err = emulator.Start(ctx, m); err != nil {
		rmErr := errors.Join(os.RemoveAll(dir), started.child.Forget())
		var launch *emulator.LaunchError
		if errors.As(err, &launch) && ctx.Err() == nil {
			return nil, &LaunchError{Record: started.Record, Stderr: launch.Stderr, Err: err}
		}
		return nil, errors.Join(err, rmErr)
	}
	return started, nil
}

// machine returns the configuration of the machine without its disks.
func (o Options) machine(host emulator.Host, accel, dir string) emulator.Machine {
	return emulator.Machine{Host: host, Board: o.Board, Accel: accel, CPUs: max(1, o.CPUs), Memory: max(o.Memory, o.Board.MinMemory),
		Dir: dir, LogFile: o.Console, SSHPort: o.SSHPort, MAC: o.MAC, VarsFD: filepath.Join(dir, "vars.fd")}
}

// disks returns the machine's disks, and makes the overlay.
func (o Options) disks(dir string) ([]emulator.Disk, error) {
	info, err := disk.Inspect(o.Image)
	if err != nil {
		return nil, disk.WithCause(err)
	}
	overlay := o.Overlay
	if overlay == "" {
		overlay = filepath.Join(dir, "overlay.qcow2")
	}
	if _, err := os.Stat(overlay); errors.Is(err, os.ErrNotExist) {
		if err := disk.CreateOverlay(overlay, info.VirtualSize); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("overlay: %w", err)
	}
	disks := []emulator.Disk{{Path: o.Image, Format: o.Format, Overlay: overlay, Sparse: o.Overlay != ""}}
	for _, m := range o.Media {
		if m != "" {
			disks = append(disks, emulator.Disk{Path: m, Format: "raw"})
		}
	}
	return disks, nil
}

// shortTemp returns the parent of a machine's folder, "" for $TMPDIR. It keeps socket
// paths below macOS's limit of 104 bytes, which $TMPDIR nearly exhausts there.
func shortTemp() string {
	if len(os.TempDir()) > 40 {
		return "/tmp"
	}
	return ""
}

// Kill ends QEMU and removes the machine's files.
func (m *Machine) Kill() {
	m.VM.Kill()
	_ = os.RemoveAll(m.dir) // a temporary folder, which nothing depends on
	_ = m.child.Forget()    // a record that remains names a process that has ended
}
