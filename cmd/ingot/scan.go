package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ingot/backend/verify"
)

func newScan() *cobra.Command {
	var asJSON, digest bool
	c := &cobra.Command{
		Use: "scan FILE", Short: "Look for secrets and traces of a machine in a qcow2 or raw image",
		Example: "  ingot scan disk.qcow2", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error { return runScan(c.Context(), a[0], digest, asJSON, os.Stdout) },
	}
	c.Flags().BoolVar(&digest, "digest", false, "hash the whole file too; takes long for a large sparse one")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

func runScan(ctx context.Context, file string, digest, asJSON bool, w io.Writer) error {
	leaks, err := verify.Scan(ctx, file, digest, counter(os.Stderr, "scan"))
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

// printLeaks prints the findings, and how each part of the disk was scanned.
func printLeaks(w io.Writer, l *verify.Leaks) error {
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
	if l.Digest != "" {
		fmt.Fprintf(w, "SHA-256 of the file: %s\n", l.Digest)
	}
	_, err := fmt.Fprintf(w, "%d findings, %d of them block a publish; %.1f MiB searched with rules %d\n", len(l.Findings)+l.More, len(l.Blocking()), float64(l.Bytes)/(1<<20), l.Rules)
	return err
}

// counterAfter is how long work is silent before its progress is shown.
const counterAfter = time.Second

// counter returns a function that shows progress, in bytes, on a line of w once the
// work has taken a second, then once a second.
func counter(w io.Writer, what string) func(done, total int64) {
	next := time.Now().Add(counterAfter)
	return func(done, total int64) {
		if time.Now().Before(next) || total <= 0 {
			return
		}
		next = time.Now().Add(counterAfter)
		fmt.Fprintf(w, "%s: %d %% of %.1f GiB\n", what, 100*done/total, float64(total)/(1<<30))
	}
}
