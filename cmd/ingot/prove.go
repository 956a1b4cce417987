package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ingot/backend/verify"
)

type proveOptions struct {
	*global
	file, arch string
	lima       bool
}

func newProve(g *global) *cobra.Command {
	o := &proveOptions{global: g}
	c := &cobra.Command{
		Use: "prove FILE|TARGET", Short: "Boot any qcow2 or raw image and record the result",
		Example: "  ingot prove disk-arm64.qcow2\n  ingot prove debian-12-arm64 --lima",
		Long: "Boots a file. With --lima, starts the published disk of a target with limactl, from its\n" +
			"template and address, until `limactl shell` answers with the kernel that was proven.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			o.file = a[0]
			return runProve(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.arch, "arch", "", "the image's architecture: arm64 or amd64 (default: from its name, else arm64)")
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
		v, err := verify.ProveLima(ctx, b, o.file, notify)
		if v.Booted != "" {
			fmt.Printf("%s: started by limactl\n  evidence: %s\n", o.file, v.Booted)
		}
		return err
	}
	file, err := filepath.Abs(o.file)
	if err != nil {
		return err
	}
	if _, serr := os.Stat(file); errors.Is(serr, fs.ErrNotExist) {
		if _, terr := b.Targets.Get(o.file); terr == nil {
			return &usageError{fmt.Sprintf("there is no file %[1]s here, and %[1]s is a target: `ingot build %[1]s --until prove` boots what it exports; `ingot prove %[1]s --lima` starts what it published", o.file)}
		}
	}
	id, p, err := verify.Prove(ctx, b, file, o.arch, notify)
	if id == "" {
		return err
	}
	verdict := string(p.Verdict)
	if p.Proven != "" {
		verdict += " (" + p.Proven + ")"
	}
	fmt.Printf("%s: %s\n  evidence: %s\n", filepath.Base(file), verdict, id) // also printed for a failure, which is recorded
	return err
}
