package backend

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ingot/backend/cause"
	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/image"
)

// VMInstall puts the newest built kernel of a target into a running Lima
// instance, starts the instance again, and asks it which kernel runs: another
// one is an error with cause boot.wrong-kernel. A kernel that does not come up is
// given up, and the instance started with the one it had. It returns the release.
// log, which must not be nil, gets what the guest's commands say.
func (b *Backend) VMInstall(ctx context.Context, name, target string, log io.Writer, said func(VMLine)) (release string, err error) {
	r, err := b.targets.Get(target)
	if err != nil {
		return "", err
	}
	vm, err := FindVM(name)
	if err != nil {
		return "", err
	}
	if vm.Arch != r.Arch {
		return "", cause.With("guest.other-arch", fmt.Errorf("%s is of %s, the instance %s is of %s", target, r.Arch, name, vm.Arch))
	}
	dir, kernel, ok, err := b.line().BuiltKernel(ctx, target)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", &NothingToDoError{fmt.Sprintf("no built kernel of %s lies here: `ingot build %s --until kernel` makes one", target, target)}
	}
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return "", err
	}
	if err := inVM(ctx, name, func(g guest.Guest) error { return image.Install(ctx, g, dir, kernel.Release, log) }); err != nil {
		return "", err
	}
	k := trial{b: b, limactl: l, vm: name, release: kernel.Release, buildID: kernel.BuildID, said: said, notify: func(msg string) { fmt.Fprintln(log, msg) }}
	k.keep = func() error {
		return inVM(ctx, name, func(g guest.Guest) error { return image.KeepKernel(ctx, g, kernel.Release, log) })
	}
	return kernel.Release, k.run(ctx)
}

// inVM does work in a running instance as it is now.
func inVM(ctx context.Context, name string, work func(guest.Guest) error) error {
	vm, err := FindVM(name)
	if err != nil {
		return err
	}
	g, err := lima.Open(ctx, vm)
	if err != nil {
		return err
	}
	defer g.Close()
	return work(g)
}

// trial starts an instance with a kernel that its loader takes once.
type trial struct {
	b                    *Backend
	limactl              *lima.Limactl
	vm, release, buildID string
	keep                 func() error // makes the kernel the loader's default
	notify               func(string)
	said                 func(VMLine)
}

func (k trial) run(ctx context.Context) error {
	before, _, err := kernelIn(ctx, k.limactl, k.vm)
	if err != nil {
		return err
	}
	got, down, err := k.start(ctx)
	if err != nil && got == before && before != k.release && ctx.Err() == nil { // its loader does not do things once
		k.notify("it was started with " + before + " once more: making " + k.release + " the default")
		if err := k.keep(); err != nil {
			return err
		}
		_, _, err = k.start(ctx)
		return err
	}
	if err == nil {
		return k.keep()
	}
	if got != "" || !down || ctx.Err() != nil { // one that was not stopped runs its own kernel: nobody pulls its plug
		return err
	}
	k.notify(k.release + " does not come up: starting " + k.vm + " with " + before + " again")
	if berr := errors.Join(VMStop(ctx, k.vm, true, k.said), k.b.VMStart(context.WithoutCancel(ctx), k.vm, k.said)); berr != nil {
		return errors.Join(err, berr)
	}
	return fmt.Errorf("%w; %s runs the kernel again that it had", err, k.vm)
}

// start starts the instance anew, and gives whether it was stopped for that, and
// the release that runs then; "" is none.
func (k trial) start(ctx context.Context) (release string, down bool, err error) {
	if err := k.b.restart(ctx, k.vm, k.notify, k.said, func() error { down = true; return nil }); err != nil {
		return "", down, err
	}
	release, id, err := kernelIn(ctx, k.limactl, k.vm)
	if err != nil {
		return "", down, err
	}
	return release, down, sameKernel(k.vm, release, id, k.release, k.buildID)
}

// VMSanitise takes out of a running instance what makes it and its people known,
// and shuts it down: nobody can log in to it any more, and its disk is fit to be
// exported. log, which must not be nil, gets what could not be done; that is an
// error, and the instance runs on.
func VMSanitise(ctx context.Context, name string, log io.Writer, said func(VMLine)) error {
	vm, l, err := limactlFor(ctx, name)
	if err != nil {
		return err
	}
	g, err := lima.Open(ctx, vm)
	if err != nil {
		return err
	}
	err = image.Sanitise(ctx, g, log)
	_ = g.Close() // the key that it used is gone
	if err != nil {
		return err
	}
	return l.Stop(ctx, name, false, said)
}
