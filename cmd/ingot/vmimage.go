package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/vm"
)

type vmImageOptions struct {
	*global
	api.Submission
	vm.ImageOptions
	publish bool
}

func newVMImage(g *global) *cobra.Command {
	o := &vmImageOptions{global: g}
	c := &cobra.Command{
		Use: "image NAME…", Short: "Make an image of an instance's disk, and boot it",
		Long:    "Copies the disk of a Lima instance, removes from the copy what identifies the VM and its users, exports it,\nand boots the exported file. --publish publishes it then. The instance itself is only read.\nThe first time, it writes a recipe, which can be edited: see `ingot target show`.",
		Example: "  ingot vm image default\n  ingot vm image web --kernel debian-12-arm64", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if !o.publish {
				o.Until = "prove"
			}
			if o.ImageOptions.Name != "" && len(a) > 1 {
				return &usageError{"vm image: --name is for one instance"}
			}
			for _, instance := range a {
				if err := runVMImage(c.Context(), o, instance); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.ImageOptions.Name, "name", "", "the name of the target (default: the one that is made of the instance, else the instance's name)")
	f.StringVar(&o.ImageOptions.Kernel, "kernel", "", "install the kernel of this target, which is built before; without it the VM's own stays")
	f.BoolVar(&o.Stop, "stop", false, "shut a running instance down for the copy, and start it again; without it, one whose disk cannot be copied otherwise is a question")
	sanitiseFlags(f, &o.Sanitise)
	f.BoolVar(&o.publish, "publish", false, "publish the image once it has booted")
	f.BoolVar(&o.Unscanned, "unscanned", false, "with --publish: publish although the scan for secrets cannot read a file system; the release is marked as unscanned")
	f.BoolVar(&g.json, "json", false, "print events as NDJSON")
	return c
}

func runVMImage(ctx context.Context, o *vmImageOptions, instance string) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	of := o.ImageOptions
	of.Instance = instance
	name, file, err := vm.EnsureTarget(ctx, b, of)
	if err != nil {
		return err
	}
	if file != "" {
		fmt.Fprintf(os.Stderr, "the recipe of target %s: %s\n", name, file)
		if b, err = o.open(); err != nil { // with the new target
			return err
		}
	}
	s := o.Submission
	s.Target = name
	if s.StopVM, err = mayStop(ctx, b, o, instance); err != nil {
		return err
	}
	return buildAndFollow(ctx, b, s, view{json: o.json})
}

// mayStop reports whether the instance may be shut down for the copy: the flag says so, or
// the person at the terminal, who is asked only if there is no other way.
func mayStop(ctx context.Context, b *backend.Backend, o *vmImageOptions, instance string) (bool, error) {
	if o.Stop || !term.IsTerminal(int(os.Stdin.Fd())) {
		return o.Stop, nil
	}
	p, err := vm.PlanImage(ctx, b, instance)
	if err != nil || !p.Stops {
		return false, err
	}
	return agreed(fmt.Sprintf("%s must be shut down while its disk is copied. Stop it, and start it again after the copy?", instance), os.Stdin, os.Stderr), nil
}
