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
}

func newProve(g *global) *cobra.Command {
	o := &proveOptions{global: g}
	c := &cobra.Command{
		Use: "prove FILE", Short: "Boot a qcow2 or raw image made by anyone, and record what it did",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			o.file = a[0]
			return runProve(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.arch, "arch", "", "the image's architecture: arm64 or amd64 (default: by its name, else arm64)")
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
	file, err := filepath.Abs(o.file)
	if err != nil {
		return err
	}
	id, p, err := backend.Prove(ctx, b, file, o.arch, func(msg string) { fmt.Fprintln(os.Stderr, msg) })
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
