package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"ingot/backend"
)

func newTarget(g *global) *cobra.Command {
	c := group("target", "List, show, check and update targets")
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "List the recipes, and whether their images were seen to boot here", Args: args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return listTargets(c.Context(), g, os.Stdout) }},
		&cobra.Command{Use: "show TARGET", Short: "Print a recipe with everything that it extends", Args: args(cobra.ExactArgs(1)), RunE: func(_ *cobra.Command, a []string) error { return showTarget(g, a[0], os.Stdout) }},
		&cobra.Command{Use: "validate [TARGET…]", Short: "Check recipes and locks", RunE: func(_ *cobra.Command, a []string) error { return validateTargets(g, a, os.Stdout) }},
		&cobra.Command{Use: "update TARGET", Short: "Renew a target's lock from its archives", Args: args(cobra.ExactArgs(1)), RunE: func(c *cobra.Command, a []string) error {
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

// listTargets says beside each recipe what this home has proved of it: a recipe
// alone promises nothing.
func listTargets(ctx context.Context, g *global, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	rows, err := b.Status(ctx)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		if _, err := b.Targets().Get(row.Target); err != nil {
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
	r, err := b.Targets().Get(name)
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
		names = b.Targets().Names()
	}
	for _, n := range names {
		if err := backend.Validate(b, n); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: recipe, lock and kernel fragments fit\n", n)
	}
	return nil
}
