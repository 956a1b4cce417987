package vm

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/guest/pause"
)

// Install installs the newest built kernel of a target in a running Lima instance,
// restarts the instance, and reads which kernel runs: another one is an error with the
// cause boot.wrong-kernel. If the instance does not come up with the new kernel, it is
// started with its previous one. Install returns the kernel's release. log, which must
// not be nil, gets the output of the guest's commands; onLine gets limactl's lines and
// may be nil.
func Install(ctx context.Context, b *backend.Backend, name, target string, log io.Writer, onLine func(Line)) (release string, err error) {
	r, err := b.Targets.Get(target)
	if err != nil {
		return "", err
	}
	vm, err := Find(name)
	if err != nil {
		return "", err
	}
	if vm.Arch != r.Arch {
		return "", cause.With("guest.other-arch", fmt.Errorf("%s is for %s, the instance %s has %s", target, r.Arch, name, vm.Arch))
	}
	dir, kernel, ok, err := b.Line().BuiltKernel(ctx, target)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", &backend.NothingToDoError{Msg: fmt.Sprintf("no kernel of %s has been built here: build one with `ingot build %s --until kernel`", target, target)}
	}
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return "", err
	}
	if err := inVM(ctx, name, func(g guest.Guest, s family.System) error { return s.Install(ctx, g, dir, kernel.Release, log) }); err != nil {
		return "", err
	}
	k := trial{b: b, limactl: l, vm: name, release: kernel.Release, buildID: kernel.BuildID, onLine: onLine, notify: func(msg string) { fmt.Fprintln(log, msg) }}
	k.keep = func() error {
		return inVM(ctx, name, func(g guest.Guest, s family.System) error { return s.KeepKernel(ctx, g, kernel.Release, log) })
	}
	return kernel.Release, k.run(ctx)
}

// inVM calls work with a running instance and the family.System of its operating
// system.
func inVM(ctx context.Context, name string, work func(guest.Guest, family.System) error) error {
	vm, err := Find(name)
	if err != nil {
		return err
	}
	g, err := lima.Open(ctx, vm)
	if err != nil {
		return err
	}
	defer g.Close()
	s, err := all.System(vm.OS)
	if err != nil {
		return err
	}
	return work(g, s)
}

// trial boots an instance once with a new kernel.
type trial struct {
	b                    *backend.Backend
	limactl              *lima.Limactl
	vm, release, buildID string
	keep                 func() error // makes the kernel the default of the boot loader
	notify               func(string)
	onLine               func(Line)
}

func (k trial) run(ctx context.Context) error {
	before, _, err := lima.KernelIn(ctx, k.limactl, k.vm)
	if err != nil {
		return err
	}
	got, down, err := k.start(ctx)
	if err != nil && got == before && before != k.release && ctx.Err() == nil { // the boot loader cannot boot a kernel once
		k.notify("it was started with " + before + " again: making " + k.release + " the default")
		if err := k.keep(); err != nil {
			return err
		}
		_, _, err = k.start(ctx)
		return err
	}
	if err == nil {
		return k.keep()
	}
	if got != "" || !down || ctx.Err() != nil { // if limactl could not stop the VM it still runs its previous kernel: leave it running
		return err
	}
	k.notify(k.release + " does not come up: starting " + k.vm + " with " + before + " again")
	if berr := errors.Join(Stop(ctx, k.vm, true, k.onLine), Start(context.WithoutCancel(ctx), k.b, k.vm, k.onLine)); berr != nil {
		return errors.Join(err, berr)
	}
	return fmt.Errorf("%w; %s runs the kernel again that it had", err, k.vm)
}

// start restarts the instance. It returns the release of the kernel that runs
// afterwards, "" for none, and whether the instance was stopped for the restart.
func (k trial) start(ctx context.Context) (release string, down bool, err error) {
	p := pause.Pause{Name: k.vm, Notify: k.notify, OnLine: k.onLine, Limit: goDownLimit}
	if err := p.During(ctx, func() error { down = true; return nil }); err != nil {
		return "", down, err
	}
	release, id, err := lima.KernelIn(ctx, k.limactl, k.vm)
	if err != nil {
		return "", down, err
	}
	return release, down, lima.SameKernel(k.vm, release, id, k.release, k.buildID)
}
