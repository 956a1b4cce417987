// Package machine boots disks for proofs: a machine of package guest/qemu as a
// proof.Booter.
package machine

import (
	"context"

	"ingot/backend/event"
	"ingot/backend/fetch"
	"ingot/backend/guest/qemu"
	"ingot/backend/proof"
	emulator "ingot/backend/qemu"
)

// QEMU boots artifacts with QEMU on this computer.
type QEMU struct {
	Arch  string // of the guest
	Board emulator.Board
	Cache string // folder of the results of accelerator probes

	Children event.Children
}

// Boot starts a machine with its own copy of the firmware variables, an empty overlay
// over the read-only image, and read-only seed and tools disks. A QEMU that does not
// start is a *proof.LaunchError.
func (q QEMU) Boot(ctx context.Context, req proof.Request) (proof.Machine, error) {
	m, err := qemu.Start(ctx, q.options(req))
	if err != nil {
		return nil, err
	}
	return &Machine{m}, nil
}

func (q QEMU) options(req proof.Request) qemu.Options {
	return qemu.Options{Arch: q.Arch, Board: q.Board, Accel: req.Accel, CPUs: req.CPUs, Memory: req.Memory, Cache: q.Cache, Children: q.Children,
		Image: req.Image, Format: req.Format, Media: []string{req.Seed, req.Tools}, Console: req.Serial}
}

// Distrust makes the next machines start without an accelerator under which one hung,
// for an hour: each such boot waits for a minute and a half before it is tried under TCG.
func (q QEMU) Distrust(ctx context.Context, accelerator, cause string) {
	host, err := emulator.FindHostBy(ctx, q.Arch, q.Board.Firmware, fetch.Digest)
	if err == nil {
		emulator.Distrust(host, q.Cache, accelerator, cause)
	}
}

// Machine is a running machine. It implements proof.Machine.
type Machine struct{ *qemu.Machine }

// Console returns the serial console.
func (m *Machine) Console() proof.Console { return m.Serial }

// Record returns how the machine was started.
func (m *Machine) Record() proof.Record { return m.Machine.Record }
