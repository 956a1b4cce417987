package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"ingot/backend/cause"
	"ingot/backend/guest"
)

// Install puts a built kernel into the running system of a guest and makes its
// loader start it: vmlinuz, config, System.map and modules.tar lie in the folder
// files. The guest must have GRUB with update-grub, and sudo without a password
// unless it is root already. The running kernel stays the one it is until the
// guest is started again; then the new one runs, once, until KeepKernel.
func Install(ctx context.Context, g guest.Guest, files, release string, log io.Writer) error {
	w := &Work{Guest: g, Log: log}
	d, err := w.open(ctx, "install", "install.sh")
	if err != nil {
		return err
	}
	defer d.close(ctx)
	for _, name := range []string{"vmlinuz", "config", "System.map", "modules.tar"} {
		if err := d.put(ctx, filepath.Join(files, name), name); err != nil {
			return fmt.Errorf("put %s into guest %s: %w", name, g.Name(), err)
		}
	}
	return d.install(ctx, release)
}

// KeepKernel makes a kernel that Install has put there the one that the guest's
// loader starts from now on.
func KeepKernel(ctx context.Context, g guest.Guest, release string, log io.Writer) error {
	w := &Work{Guest: g, Log: log}
	d, err := w.open(ctx, "install", "install.sh")
	if err != nil {
		return err
	}
	defer d.close(ctx)
	return d.install(ctx, release, "keep")
}

// install runs the script of that name.
func (d *dir) install(ctx context.Context, release string, mode ...string) error {
	g, log := d.w.Guest, d.w.Log
	err := g.Run(ctx, guest.Cmd{Argv: guest.AsRoot(append([]string{"sh", path.Join(d.path, "install.sh"), release}, mode...)...), Dir: d.path, Stdout: log, Stderr: log})
	var exit *guest.ExitError
	if errors.As(err, &exit) {
		return cause.With(exitCause(exit), fmt.Errorf("install kernel %s in guest %s: %w", release, g.Name(), err))
	}
	return err
}
