package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ingot/backend"
)

func newWorker(g *global) *cobra.Command {
	var o backend.WorkerOptions
	c := &cobra.Command{Use: "worker", Short: "Build for a team until stopped: take what this computer can build from the team's queue",
		Long: "Takes builds of the same version of Ingot from the team's queue and runs what they say on this computer, up to the boot proof.\nEvidence is signed by this home's key; who submits must have it under team.workers. docs/team.md tells how a team is set up.",
		Args: args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error {
			o.Options = backend.Options{Guest: g.guest, Log: os.Stderr}
			o.Ready = func(w backend.WorkerInfo, cannot []string) { introduce(os.Stdout, w, cannot) }
			return backend.RunWorker(c.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.NATS, "nats", "", "the team's server, like tls://nats.example.org:4222 (default: team.nats of config.yaml)")
	f.StringVar(&o.Creds, "creds", "", "credentials file for it (default: team.creds)")
	f.StringVar(&o.CAFile, "ca", "", "certificates that the server's is checked with (default: team.caFile)")
	return c
}

// introduce says what a submitter must know of the worker.
func introduce(w io.Writer, me backend.WorkerInfo, cannot []string) {
	fmt.Fprintf(w, "worker %s of ingot %s builds %s, %d at once\n", me.ID, me.Version, strings.Join(me.Builds, ", "), me.Slots)
	for _, why := range cannot {
		fmt.Fprintf(w, "  not %s\n", why)
	}
	fmt.Fprintf(w, "  who submits writes under team.workers: %s\n", me.Key)
}

func newWorkers(g *global) *cobra.Command {
	c := &cobra.Command{Use: "workers", Short: "List the team's workers: what they can build, their load, their last heartbeat", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			all, err := b.TeamWorkers(c.Context())
			if err != nil {
				return err
			}
			if g.json {
				return json.NewEncoder(os.Stdout).Encode(all)
			}
			return printWorkers(os.Stdout, all, b.Believed, time.Now())
		}}
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	return c
}

func printWorkers(w io.Writer, all []backend.WorkerInfo, believed func(backend.WorkerInfo) bool, now time.Time) error {
	if len(all) == 0 {
		fmt.Fprintln(w, "no worker was seen in the last ten minutes; `ingot worker` starts one")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tHOST\tVERSION\tON\tBUILDS\tTOOLS\tRUNS\tHEARTBEAT\tKEY")
	for _, x := range all {
		key := "believed here"
		if !believed(x) {
			key = "not under team.workers: " + x.Key
		}
		fmt.Fprintf(tw, "%s\t%.64q\t%.32q\t%s/%s\t%s\t%s\t%d of %d builds\t%s ago\t%s\n", x.ID, x.Host, x.Version, x.OS, x.Arch, strings.Join(x.Accels, " "), strings.Join(x.Tools, " "),
			len(x.Running), x.Slots, max(0, now.Sub(x.Seen)).Round(time.Second), key)
	}
	return tw.Flush()
}
