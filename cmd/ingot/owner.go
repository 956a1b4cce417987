package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ingot/backend"
)

func newOwner(g *global) *cobra.Command {
	c := &cobra.Command{Use: "owner", Short: "The process that runs this home's builds; it comes and goes by itself",
		Args: args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return showOwner(c, g, os.Stdout) }}
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	fd := 1
	run := &cobra.Command{
		Use: "run", Short: "Be the owner until there is neither work nor a client", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return backend.ServeOwner(c.Context(), backend.Options{Log: os.Stderr}, os.NewFile(uintptr(fd), "ready"))
		},
	}
	run.Flags().IntVar(&fd, "ready-fd", 1, "say here when clients can connect")
	c.AddCommand(run, &cobra.Command{
		Use: "stop", Short: "Ask the owner to end as soon as it has no work", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return stopOwner(c, g, os.Stdout) },
	})
	return c
}

func showOwner(c *cobra.Command, g *global, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	info, err := b.Client().Info(c.Context())
	var none *backend.NoOwnerError
	if errors.As(err, &none) {
		if g.json {
			fmt.Fprintln(w, "null")
			return nil
		}
		fmt.Fprintln(w, "no owner runs; the next build starts one")
		return nil
	}
	if err != nil {
		return err
	}
	if g.json {
		return json.NewEncoder(w).Encode(info)
	}
	fmt.Fprintf(w, "process %d, ingot %s, since %s\n", info.PID, info.Version, info.Started.Local().Format("2006-01-02 15:04:05"))
	return printBuilds(w, info.Builds)
}

func stopOwner(c *cobra.Command, g *global, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	idle, err := b.Client().Leave(c.Context())
	var none *backend.NoOwnerError
	switch {
	case errors.As(err, &none):
		fmt.Fprintln(w, "no owner runs")
		return nil
	case err != nil:
		return err
	case idle:
		fmt.Fprintln(w, "the owner ends")
	default:
		fmt.Fprintln(w, "the owner ends when its builds have: `ingot builds` lists them, `ingot cancel` ends one")
	}
	return nil
}

func newBuilds(g *global) *cobra.Command {
	c := &cobra.Command{Use: "builds", Short: "List the builds that run or wait", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			_, builds, err := activeBuilds(c, g)
			if err != nil {
				return err
			}
			if g.json {
				return json.NewEncoder(os.Stdout).Encode(builds)
			}
			return printBuilds(os.Stdout, builds)
		}}
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	return c
}

// activeBuilds asks the owner; where none runs there are none.
func activeBuilds(c *cobra.Command, g *global) (*backend.Client, []backend.ActiveBuild, error) {
	b, err := g.open()
	if err != nil {
		return nil, nil, err
	}
	client := b.Client()
	info, err := client.Info(c.Context())
	var none *backend.NoOwnerError
	if errors.As(err, &none) {
		return client, []backend.ActiveBuild{}, nil
	}
	return client, info.Builds, err
}

func printBuilds(w io.Writer, builds []backend.ActiveBuild) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, b := range builds {
		state := "waits"
		if !b.Started.IsZero() {
			state = "runs since " + b.Started.Local().Format("15:04:05") + ", step " + b.Step
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", b.ID, b.Target, b.Lane, state)
	}
	return tw.Flush()
}

// findBuild finds an active build by its id or its target's name; of several
// of a target, the one that runs.
func findBuild(c *cobra.Command, g *global, name string) (*backend.Client, backend.ActiveBuild, error) {
	client, builds, err := activeBuilds(c, g)
	if err != nil {
		return nil, backend.ActiveBuild{}, err
	}
	var found *backend.ActiveBuild
	for i, b := range builds {
		if b.ID == name || b.Target == name && (found == nil || found.Started.IsZero()) {
			found = &builds[i]
		}
	}
	if found == nil {
		return nil, backend.ActiveBuild{}, &backend.NoSuchBuildError{ID: name}
	}
	return client, *found, nil
}

func newCancel(g *global) *cobra.Command {
	return &cobra.Command{Use: "cancel BUILD|TARGET", Short: "Cancel a build that runs or waits, whoever started it", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			client, build, err := findBuild(c, g, a[0])
			if err != nil {
				return err
			}
			return client.Cancel(c.Context(), build.ID)
		}}
}

func newFollow(g *global) *cobra.Command {
	var since int64
	c := &cobra.Command{Use: "follow BUILD|TARGET", Short: "Watch a build that runs or waits; Ctrl-C ends the view, not the build", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			client, build, err := findBuild(c, g, a[0])
			if err != nil {
				return err
			}
			show, finish := view{json: g.json}.printer()
			defer finish()
			err = client.Follow(c.Context(), build.Target, build.ID, since, show)
			if c.Context().Err() != nil {
				return nil // the view ends, nothing else
			}
			return err
		}}
	c.Flags().Int64Var(&since, "since", 0, "only events after this id")
	c.Flags().BoolVar(&g.json, "json", false, "print events as NDJSON")
	return c
}
