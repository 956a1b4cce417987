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
	"ingot/backend/api"
	"ingot/backend/remote"
	"ingot/backend/worker"
)

func newWorker(g *global) *cobra.Command {
	var o worker.Options
	c := &cobra.Command{Use: "worker", Short: "Run builds of a team's queue on this computer until stopped",
		Example: "  ingot worker --nats tls://nats.example.org:4222 --creds team.creds",
		Long:    "Takes builds for the same version of Ingot from the team's queue and runs them on this computer, up to the boot proof.\nEvidence is signed with this home's key, which a submitter must list under team.workers. docs/team.md describes how to set up a team.",
		Args:    args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error {
			o.Options = backend.Options{Guest: g.guest, Log: os.Stderr}
			o.Ready = func(w api.WorkerInfo, reasons []string) { introduce(os.Stdout, w, reasons) }
			return worker.Run(c.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.NATS, "nats", "", "the team's server, like tls://nats.example.org:4222 (default: team.nats of config.yaml)")
	f.StringVar(&o.Creds, "creds", "", "credentials file for it (default: team.creds)")
	f.StringVar(&o.CAFile, "ca", "", "file of CA certificates for the server (default: team.caFile)")
	return c
}

// introduce prints what a submitter needs to know of the worker.
func introduce(w io.Writer, me api.WorkerInfo, cannot []string) {
	fmt.Fprintf(w, "worker %s of ingot %s builds %s, %d at once\n", me.ID, me.Version, strings.Join(me.Builds, ", "), me.Slots)
	for _, why := range cannot {
		fmt.Fprintf(w, "  cannot build %s\n", why)
	}
	fmt.Fprintf(w, "  key for team.workers of a submitter: %s\n", me.Key)
}

func newWorkers(g *global) *cobra.Command {
	c := &cobra.Command{Use: "workers", Short: "List the team's workers: what they build, load, last heartbeat",
		Example: "  ingot workers", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			all, err := remote.TeamWorkers(c.Context(), b)
			if err != nil {
				return err
			}
			if g.json {
				return json.NewEncoder(os.Stdout).Encode(all)
			}
			return printWorkers(os.Stdout, all, func(w api.WorkerInfo) bool { return remote.TrustsWorker(b, w) }, time.Now())
		}}
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	return c
}

func printWorkers(w io.Writer, all []api.WorkerInfo, trusted func(api.WorkerInfo) bool, now time.Time) error {
	if len(all) == 0 {
		fmt.Fprintln(w, "no worker was seen in the last ten minutes; `ingot worker` starts one")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tHOST\tVERSION\tON\tBUILDS\tTOOLS\tRUNS\tHEARTBEAT\tKEY")
	for _, x := range all {
		key := "accepted here"
		if !trusted(x) {
			key = "not under team.workers: " + x.Key
		}
		fmt.Fprintf(tw, "%s\t%.64q\t%.32q\t%s/%s\t%s\t%s\t%d of %d builds\t%s ago\t%s\n", x.ID, x.Host, x.Version, x.OS, x.Arch, strings.Join(x.Accels, " "), strings.Join(x.Tools, " "),
			len(x.Running), x.Slots, max(0, now.Sub(x.Seen)).Round(time.Second), key)
	}
	return tw.Flush()
}
