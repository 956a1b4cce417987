package main

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ingot/backend/api"
)

type buildOptions struct {
	*global
	api.Submission
	why  bool
	plan bool
}

func newBuild(g *global) *cobra.Command {
	o := &buildOptions{global: g}
	c := &cobra.Command{
		Use:     "build TARGET",
		Short:   "Build, boot and publish a target's image",
		Long:    "Builds a target's kernel and image, exports it, boots the exported file and publishes it.\nA step whose inputs did not change is skipped; --why shows what changed, --plan what would run.",
		Example: "  ingot build debian-12-arm64\n  ingot build debian-12-arm64 --until export --why",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			o.Target = a[0]
			return runBuild(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Until, "until", "", "stop after this step: "+strings.Join(api.Steps, ", "))
	f.StringSliceVar(&o.Force, "force", nil, "run these steps although nothing changed")
	f.BoolVar(&o.Unproven, "unproven", false, "publish without a passed boot proof; the release is marked as unproven")
	f.BoolVar(&o.Unscanned, "unscanned", false, "publish although the scan for secrets cannot read a file system; the release is marked as unscanned")
	f.BoolVar(&o.Renew, "renew", false, "renew the lock if no mirror has a locked input any more")
	f.BoolVar(&o.Check, "check", false, "after the export, build the outputs again and compare them (with --force: only those steps)")
	f.BoolVar(&o.why, "why", false, "print why each step runs: which input changed")
	f.BoolVar(&o.plan, "plan", false, "print the steps, what each needs, and which would run; run nothing")
	f.BoolVar(&o.NoWait, "no-wait", false, "fail when the home is in use or the target is being built")
	f.BoolVar(&o.Batch, "batch", false, "wait for all builds that were submitted without --batch")
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
	if o.plan {
		return writePlan(ctx, os.Stdout, b, o)
	}
	o.Guest = o.guest
	return buildAndFollow(ctx, b, o.Submission, view{json: o.json, why: o.why})
}
