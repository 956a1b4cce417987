package doctor

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"ingot/backend"
	"ingot/backend/guest/forge"
	"ingot/backend/guest/lima"
)

// forgeChecks returns the checks of the forge VM and what it needs, if builds run in it,
// and whether it is running: only then can one see which programs it has.
func forgeChecks(ctx context.Context, b *backend.Backend) (checks []Check, running bool) {
	c, err := b.OpensGuest()
	if err != nil || !forge.Is(c) {
		return nil, false
	}
	_, err = lima.Find(ctx, lima.Store{})
	limactl := Check{Name: "limactl", OK: err == nil, Why: "runs the forge VM, in which kernels and disks are made"}
	if err != nil {
		limactl.Install = err.Error()
		if runtime.GOOS == "darwin" {
			limactl.pkg = "lima"
		}
	}
	vm := Check{Name: "forge VM", Why: "kernels and disks are made in it"}
	i, err := lima.Store{}.Instance(forge.Name)
	var none *lima.NotFoundError
	switch {
	case errors.As(err, &none):
		vm.forge, vm.Install = true, "ingot vm create "+forge.Name+" --forge (the first build does it too)"
	case err != nil:
		vm.Install = err.Error()
	case i.Status == lima.Broken:
		vm.Install = i.Problem + ": `ingot vm delete --force " + forge.Name + "`; the next build makes another one"
	case i.Status == lima.Running:
		vm.OK, vm.Why = true, vm.Why+"; it is running"
	default:
		vm.OK, vm.Why = true, vm.Why+"; a build starts it, and installs there what is missing"
	}
	return []Check{limactl, vm}, vm.OK && i.Status == lima.Running
}

// NeedsForge reports whether the forge VM has to be made, and can be.
func (r Report) NeedsForge() bool {
	needs, can := false, true
	for _, c := range r.Checks {
		needs = needs || c.forge
		can = can && (c.OK || c.Name != "limactl")
	}
	return needs && can
}

// withForge makes and starts the forge VM, calls work, and stops it again unless another
// process uses it.
func withForge(ctx context.Context, b *backend.Backend, note func(string), work func() error) error {
	f := b.NewForge()
	release, err := f.Use(ctx, note)
	if err != nil {
		return fmt.Errorf("forge VM: %w", err)
	}
	err = work()
	release()
	return errors.Join(err, f.Close(context.WithoutCancel(ctx)))
}
