package backend

import (
	"context"
	"fmt"
	"io"

	"ingot/backend/cause"
	"ingot/backend/guest/lima"
	"ingot/backend/image"
)

// VMInstall puts the newest built kernel of a target into a running Lima
// instance, starts the instance again, and asks it which kernel runs: another
// one is an error with cause boot.wrong-kernel. It returns the release. log,
// which must not be nil, gets what the guest's commands say.
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
	if err := installIn(ctx, vm, dir, kernel.Release, log); err != nil {
		return "", err
	}
	if err := b.restart(ctx, name, func(msg string) { fmt.Fprintln(log, msg) }, said, nil); err != nil {
		return "", err
	}
	got, id, err := kernelIn(ctx, l, name)
	if err != nil {
		return "", err
	}
	return kernel.Release, sameKernel(name, got, id, kernel.Release, kernel.BuildID)
}

func installIn(ctx context.Context, vm VM, dir, release string, log io.Writer) error {
	g, err := lima.Open(ctx, vm)
	if err != nil {
		return err
	}
	defer g.Close()
	return image.Install(ctx, g, dir, release, log)
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
