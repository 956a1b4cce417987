package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ingot/backend"
)

type proveOptions struct {
	*global
	file, arch string
	lima       bool
}

func newProve(g *global) *cobra.Command {
	o := &proveOptions{global: g}
	c := &cobra.Command{
		Use: "prove FILE|TARGET", Short: "Boot a qcow2 or raw image made by anyone, and record what it did",
		Long: "Boots a file. With --lima, starts the published disk of a target by limactl, from its own\n" +
			"template and address, until `limactl shell` answers with the kernel that was proven.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			o.file = a[0]
			return runProve(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.arch, "arch", "", "the image's architecture: arm64 or amd64 (default: by its name, else arm64)")
	c.Flags().BoolVar(&o.lima, "lima", false, "start a target's published disk with limactl")
	return c
}

func runProve(ctx context.Context, o *proveOptions) error {
	if err := checkArch(o.arch); err != nil {
		return err
	}
	b, err := o.open()
	if err != nil {
		return err
	}
	notify := func(msg string) { fmt.Fprintln(os.Stderr, msg) }
	if o.lima {
		v, err := b.ProveLima(ctx, o.file, notify)
		if v.Booted != "" {
			fmt.Printf("%s: started by limactl\n  evidence: %s\n", o.file, v.Booted)
		}
		return err
	}
	file, err := filepath.Abs(o.file)
	if err != nil {
		return err
	}
	id, p, err := backend.Prove(ctx, b, file, o.arch, notify)
	if id == "" {
		return err
	}
	verdict := string(p.Verdict)
	if p.Proven != "" {
		verdict += " (" + p.Proven + ")"
	}
	fmt.Printf("%s: %s\n  evidence: %s\n", filepath.Base(file), verdict, id) // of a failure too: it is kept
	return err
}
