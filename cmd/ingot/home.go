package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend/doctor"
	"ingot/backend/retention"
)

func newHome(g *global) *cobra.Command {
	var data bool
	c := &cobra.Command{
		Use: "home", Short: "Print the folders of Ingot's data",
		Example: "  ingot home", Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			if data {
				fmt.Println(b.Home.Data)
				return nil
			}
			fmt.Printf("data    %s\nconfig  %s\ncache   %s\nkeys    %s\n", b.Home.Data, b.Home.Config, b.Home.Cache, b.KeysWhere())
			return nil
		},
	}
	c.Flags().BoolVar(&data, "data", false, "print the data folder alone")
	return c
}

func newSupport(g *global) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "support", Short: "Write a bundle for a bug report, without names and credentials",
		Example: "  ingot support --output report.tar.gz", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			names, err := doctor.Support(c.Context(), b, out)
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", out)
			for _, n := range names {
				fmt.Printf("  %s\n", n)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "ingot-support.tar.gz", "the file to write")
	return c
}

type uninstallOptions struct {
	*global
	purge, yes bool
}

func newUninstall(g *global) *cobra.Command {
	o := &uninstallOptions{global: g}
	c := &cobra.Command{
		Use: "uninstall", Short: "Remove the caches; with --purge also images, evidence and keys",
		Example: "  ingot uninstall\n  ingot uninstall --purge", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return runUninstall(c.Context(), o, os.Stdin, os.Stdout) },
	}
	c.Flags().BoolVar(&o.purge, "purge", false, "remove images, evidence, keys and configuration too")
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return c
}

func runUninstall(ctx context.Context, o *uninstallOptions, in io.Reader, w io.Writer) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	for _, l := range retention.UninstallPlan(b, o.purge) {
		verb := "remove"
		if l.Kept {
			verb = "keep"
		}
		fmt.Fprintf(w, "%-6s  %8.1f MB  %s (%s)\n", verb, float64(l.Bytes)/1e6, l.Path, l.What)
	}
	if !o.yes {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return &usageError{"uninstall: nothing was removed: add --yes to remove without a question"}
		}
		if !confirmed(in, w) {
			return nil
		}
	}
	return retention.Uninstall(ctx, b, o.purge)
}
