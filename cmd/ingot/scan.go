package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ingot/backend"
)

func newScan() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "scan FILE", Short: "Look for secrets and traces of a machine in a qcow2 or raw image", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error { return runScan(c.Context(), a[0], asJSON, os.Stdout) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

func runScan(ctx context.Context, file string, asJSON bool, w io.Writer) error {
	leaks, err := backend.Scan(ctx, file, nil)
	if leaks == nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if jerr := enc.Encode(leaks); jerr != nil {
			return jerr
		}
		return err
	}
	if perr := printLeaks(w, leaks); perr != nil {
		return perr
	}
	return err
}

// printLeaks shows what was found, and how far the scan could see.
func printLeaks(w io.Writer, l *backend.Leaks) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if len(l.Findings) > 0 {
		fmt.Fprintln(tw, "SEVERITY\tWHAT\tWHERE")
	}
	for _, f := range l.Findings {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Severity, f.Title, f.Where())
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if l.More > 0 {
		fmt.Fprintf(w, "and %d more\n", l.More)
	}
	for _, a := range l.Areas {
		line := fmt.Sprintf("%s: %s", a.Name, a.FileSystem)
		if a.Files > 0 {
			line += fmt.Sprintf(", %d files", a.Files)
		}
		if a.Note != "" {
			line += " (" + a.Note + ")"
		}
		fmt.Fprintln(w, line)
	}
	_, err := fmt.Fprintf(w, "%d findings, %d of them block a publish; %.1f MiB searched with rules %d\n", len(l.Findings)+l.More, len(l.Blocking()), float64(l.Bytes)/(1<<20), l.Rules)
	return err
}
