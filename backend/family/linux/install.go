package linux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/guest"
)

// Install installs a built kernel in the running system of a guest: vmlinuz, config,
// System.map and modules.tar are in the folder files. The guest must have GRUB with
// update-grub, and sudo without a password unless Ingot is root. The next boot of the
// guest runs the new kernel, once; KeepKernel makes it permanent.
func (System) Install(ctx context.Context, g guest.Guest, files, release string, log io.Writer) error {
	w := &family.Work{Guest: g, Log: log}
	d, err := w.Open(ctx, "install", scripts, "install.sh")
	if err != nil {
		return err
	}
	defer d.Close(ctx)
	for _, name := range []string{"vmlinuz", "config", "System.map", "modules.tar"} {
		if err := d.Put(ctx, filepath.Join(files, name), name); err != nil {
			return fmt.Errorf("put %s into guest %s: %w", name, g.Name(), err)
		}
	}
	return install(ctx, d, release)
}

// KeepKernel makes a kernel that Install has installed the default of the guest's
// loader.
func (System) KeepKernel(ctx context.Context, g guest.Guest, release string, log io.Writer) error {
	w := &family.Work{Guest: g, Log: log}
	d, err := w.Open(ctx, "install", scripts, "install.sh")
	if err != nil {
		return err
	}
	defer d.Close(ctx)
	return install(ctx, d, release, "keep")
}

// install runs the installation script.
func install(ctx context.Context, d *family.Dir, release string, mode ...string) error {
	g, log := d.Work.Guest, d.Work.Log
	err := g.Run(ctx, guest.Cmd{Argv: guest.AsRoot(append([]string{"sh", path.Join(d.Path, "install.sh"), release}, mode...)...), Dir: d.Path, Stdout: log, Stderr: log})
	var exit *guest.ExitError
	if errors.As(err, &exit) {
		return cause.With(family.ExitCause(exit), fmt.Errorf("install kernel %s in guest %s: %w", release, g.Name(), err))
	}
	return err
}
