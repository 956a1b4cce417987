package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"ingot/backend"
)

type buildOptions struct {
	*global
	backend.Submission
	why bool
}

func newBuild(g *global) *cobra.Command {
	o := &buildOptions{global: g}
	c := &cobra.Command{
		Use:   "build TARGET",
		Short: "Forge, boot and publish a target's image; steps whose inputs did not change are skipped",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			o.Target = a[0]
			return runBuild(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Until, "until", "", "stop after this step: "+strings.Join(backend.Steps, ", "))
	f.StringSliceVar(&o.Force, "force", nil, "run these steps although nothing changed")
	f.BoolVar(&o.Unproven, "unproven", false, "publish without a passed boot proof, marked so")
	f.BoolVar(&o.Renew, "renew", false, "renew the lock if a locked input is gone from every mirror")
	f.BoolVar(&o.Check, "check", false, "after the export, make the outputs again and compare them (with --force: only those steps)")
	f.BoolVar(&o.why, "why", false, "say why each step runs: which input changed")
	f.BoolVar(&o.NoWait, "no-wait", false, "fail when the home is in use or the target is being built")
	f.BoolVar(&o.Batch, "batch", false, "build behind all that is not")
	f.BoolVar(&o.Team, "team", false, "let a worker of the team build and prove, and publish from here")
	f.BoolVar(&o.Keep, "keep", false, "keep the work directories")
	f.BoolVar(&g.json, "json", false, "print events as NDJSON")
	return c
}

func runBuild(ctx context.Context, o *buildOptions) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	o.Guest = o.guest
	return buildAndFollow(ctx, b, o.Submission, view{json: o.json, why: o.why})
}
