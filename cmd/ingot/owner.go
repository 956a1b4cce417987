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
	"ingot/backend/api"
	"ingot/backend/client"
	"ingot/backend/owner"
	"ingot/backend/status"
)

func newOwner(g *global) *cobra.Command {
	c := &cobra.Command{Use: "owner", Short: "Show the process that runs this home's builds",
		Example: "  ingot owner\n  ingot owner stop",
		Args:    args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return showOwner(c, g, os.Stdout) }}
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	fd := 1
	run := &cobra.Command{
		Use: "run", Short: "Run the owner until it has neither work nor clients",
		Example: "  ingot owner run", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return owner.Serve(c.Context(), backend.Options{Log: os.Stderr}, os.NewFile(uintptr(fd), "ready"))
		},
	}
	run.Flags().IntVar(&fd, "ready-fd", 1, "write a line to this descriptor when clients can connect")
	c.AddCommand(run, &cobra.Command{
		Use: "stop", Short: "Ask the owner to end as soon as it has no work",
		Example: "  ingot owner stop", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return stopOwner(c, g, os.Stdout) },
	})
	return c
}

func showOwner(c *cobra.Command, g *global, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	info, err := owner.ClientOf(b).Info(c.Context())
	var none *api.NoOwnerError
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
	idle, err := owner.ClientOf(b).Leave(c.Context())
	var none *api.NoOwnerError
	switch {
	case errors.As(err, &none):
		fmt.Fprintln(w, "no owner runs")
		return nil
	case err != nil:
		return err
	case idle:
		fmt.Fprintln(w, "the owner is ending")
	default:
		fmt.Fprintln(w, "the owner will end after its builds: `ingot builds` lists them, `ingot cancel` cancels one")
	}
	return nil
}

func newBuilds(g *global) *cobra.Command {
	c := &cobra.Command{Use: "builds", Short: "List the running and waiting builds",
		Example: "  ingot builds", Args: args(cobra.NoArgs),
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

// activeBuilds asks the owner for its builds; without an owner there are none.
func activeBuilds(c *cobra.Command, g *global) (*client.Client, []api.ActiveBuild, error) {
	b, err := g.open()
	if err != nil {
		return nil, nil, err
	}
	client := owner.ClientOf(b)
	info, err := client.Info(c.Context())
	var none *api.NoOwnerError
	if errors.As(err, &none) {
		return client, []api.ActiveBuild{}, nil
	}
	return client, info.Builds, err
}

func printBuilds(w io.Writer, builds []api.ActiveBuild) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, b := range builds {
		state := "waits"
		if !b.Started.IsZero() {
			state = "running since " + b.Started.Local().Format("15:04:05") + ", step " + b.Step
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", b.ID, b.Target, b.Lane, state)
	}
	return tw.Flush()
}

// findBuild finds an active build by its id or its target's name. If a target
// has several, it returns the running one.
func findBuild(c *cobra.Command, g *global, name string) (*client.Client, api.ActiveBuild, error) {
	client, builds, err := activeBuilds(c, g)
	if err != nil {
		return nil, api.ActiveBuild{}, err
	}
	var found *api.ActiveBuild
	for i, b := range builds {
		if b.ID == name || b.Target == name && (found == nil || found.Started.IsZero()) {
			found = &builds[i]
		}
	}
	if found == nil {
		return nil, api.ActiveBuild{}, &api.NoSuchBuildError{ID: name}
	}
	return client, *found, nil
}

func newCancel(g *global) *cobra.Command {
	return &cobra.Command{Use: "cancel BUILD|TARGET", Short: "Cancel a running or waiting build",
		Example: "  ingot cancel debian-12-arm64", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			client, build, err := findBuild(c, g, a[0])
			if err != nil {
				return err
			}
			return client.Cancel(c.Context(), build.ID)
		}}
}

// replay shows the events of a target's newest build, or of a build by its id, that
// has ended: it may have ended just before. It returns none if there is no such build.
func replay(g *global, name string, since int64, show func(api.Event), none error) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	bd, err := status.EndedBuild(b, name)
	if err != nil {
		return none
	}
	events, err := bd.Journal()
	if err != nil || len(events) == 0 || events[len(events)-1].Kind != api.EventBuildFinished {
		return errors.Join(none, err)
	}
	for _, e := range events {
		if e.ID > since {
			show(e)
		}
	}
	return client.EndOf(events[len(events)-1])
}

func newFollow(g *global) *cobra.Command {
	var since int64
	c := &cobra.Command{Use: "follow BUILD|TARGET", Short: "Watch a running or waiting build, or see how the last one went",
		Long:    "Watch a running or waiting build. Of a build that has ended it shows the events, and ends with its exit code. Ctrl-C does not cancel the build.",
		Example: "  ingot follow debian-12-arm64", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			show, finish := view{json: g.json}.printer()
			defer finish()
			client, build, err := findBuild(c, g, a[0])
			if none := (*api.NoSuchBuildError)(nil); errors.As(err, &none) {
				return replay(g, a[0], since, show, err)
			}
			if err != nil {
				return err
			}
			client.Silent = sayAndWait
			err = client.Follow(c.Context(), build.Target, build.ID, since, show)
			if c.Context().Err() != nil {
				return nil // the build continues
			}
			return err
		}}
	c.Flags().Int64Var(&since, "since", 0, "only events after this id")
	c.Flags().BoolVar(&g.json, "json", false, "print events as NDJSON")
	return c
}
