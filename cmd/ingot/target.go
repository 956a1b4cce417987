package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"ingot/backend/status"
	"ingot/backend/vm"
)

func newTarget(g *global) *cobra.Command {
	c := parent("target", "List, show, check and update targets", "ingot target list")
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "List the recipes, and whether their images have booted here",
			Example: "  ingot target list", Args: args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return listTargets(c.Context(), g, os.Stdout) }},
		&cobra.Command{Use: "show TARGET", Short: "Print a recipe with everything that it extends",
			Example: "  ingot target show debian-12-arm64", Args: args(cobra.ExactArgs(1)), RunE: func(_ *cobra.Command, a []string) error { return showTarget(g, a[0], os.Stdout) }},
		newTargetNew(g),
		&cobra.Command{Use: "validate [TARGET…]", Short: "Check recipes and locks",
			Example: "  ingot target validate my-server", RunE: func(_ *cobra.Command, a []string) error { return validateTargets(g, a, os.Stdout) }},
		&cobra.Command{Use: "update TARGET", Short: "Renew a target's lock from its archives",
			Example: "  ingot target update my-server", Args: args(cobra.ExactArgs(1)), RunE: func(c *cobra.Command, a []string) error {
				b, err := g.open()
				if err != nil {
					return err
				}
				log := io.Discard
				if g.verbose {
					log = os.Stderr
				}
				lock, path, err := b.UpdateLock(c.Context(), a[0], log)
				if err != nil {
					return err
				}
				fmt.Printf("%s: %d packages, kernel %s %s\n%s\n", a[0], len(lock.Rootfs), lock.Kernel.Name, lock.Kernel.Version, path)
				return nil
			}},
	)
	return c
}

// newTargetNew writes a recipe of the user's own.
func newTargetNew(g *global) *cobra.Command {
	var from, machine string
	c := &cobra.Command{Use: "new NAME", Short: "Write a recipe of your own, from another one or from a VM",
		Example: "  ingot target new my-server --from debian-12-arm64\n  ingot target new my-vm --from-vm default", Args: args(cobra.ExactArgs(1)), RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			var file string
			if machine != "" {
				file, err = vm.NewTarget(c.Context(), b, vm.ImageOptions{Instance: machine, Name: a[0]})
			} else {
				file, err = status.Fork(c.Context(), b, from, a[0])
			}
			if err != nil {
				return err
			}
			fmt.Printf("%s\nnext: change it, then `ingot target validate %s` and `ingot build %s`\n", file, a[0], a[0])
			return nil
		}}
	c.Flags().StringVar(&from, "from", "debian-12-arm64", "the target that it extends")
	c.Flags().StringVar(&machine, "from-vm", "", "the Lima instance whose disk it takes")
	c.MarkFlagsMutuallyExclusive("from", "from-vm")
	return c
}

// listTargets prints each recipe with this home's proof state, since a recipe
// alone is no proof.
func listTargets(ctx context.Context, g *global, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	rows, err := status.Rows(ctx, b)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		if _, err := b.Targets.Get(row.Target); err != nil {
			fmt.Fprintf(tw, "%s\tbroken: %v\n", row.Target, err)
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\tboots: %s\n", row.Target, row.Title, row.Boots.State)
	}
	return tw.Flush()
}

func showTarget(g *global, name string, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	r, err := b.Targets.Get(name)
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "# from %s\n%s", r.Origin(), text)
	return err
}

func validateTargets(g *global, names []string, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = b.Targets.Names()
	}
	for _, n := range names {
		if err := status.Validate(b, n); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: recipe, lock and kernel fragments are valid\n", n)
	}
	return nil
}
