package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend/vm"
)

type vmsOptions struct {
	json, watch bool
}

func newVMs(_ *global) *cobra.Command {
	o := &vmsOptions{}
	c := &cobra.Command{
		Use: "vms", Short: "List the Lima instances that you have",
		Example: "  ingot vms --watch", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return runVMs(c.Context(), o, os.Stdout) },
	}
	c.Flags().BoolVar(&o.json, "json", false, "print the list as JSON")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "print again whenever something changes, until Ctrl-C")
	return c
}

func runVMs(ctx context.Context, o *vmsOptions, w io.Writer) error {
	if o.watch {
		return o.follow(ctx, w)
	}
	vms, err := vm.List(ctx)
	if err != nil {
		return err
	}
	if !o.json {
		return printVMs(w, vms)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(vms)
}

// follow prints the list whenever it has changed: as one line of JSON, or on a
// terminal in place of the previous table.
func (o *vmsOptions) follow(ctx context.Context, w io.Writer) error {
	return vm.Watch(ctx, func(vms []vm.Instance, err error) {
		switch {
		case err != nil:
			report(os.Stderr, err)
		case o.json:
			_ = json.NewEncoder(w).Encode(vms) // a closed pipe ends the program with SIGPIPE
		default:
			if term.IsTerminal(int(os.Stdout.Fd())) {
				fmt.Fprint(w, "\x1b[H\x1b[2J") // home, clear
			}
			_ = printVMs(w, vms)
		}
	})
}

func printVMs(w io.Writer, vms []vm.Instance) error {
	if len(vms) == 0 {
		fmt.Fprintln(w, "no Lima instances: `ingot vm create NAME TARGET` makes one of a published target")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tSTATE\tCPUS\tMEMORY\tDISK\tON DISK\tARCH\tDRIVER\tSSH")
	for _, v := range vms {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(v.Name), vmState(v), v.CPUs, gib(v.MemBytes), gib(v.DiskBytes), gib(v.DiskAllocated), plain(v.Arch), plain(v.VMType), plain(v.SSHAddr))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, v := range vms {
		if v.Problem != "" {
			fmt.Fprintf(w, "\n%s: %s\n", plain(v.Name), plain(v.Problem))
		}
	}
	return nil
}

// plain removes from a text of other origin the characters that a terminal
// interprets.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// vmState returns the state of an instance; for a running one that does not
// answer, it includes the phase.
func vmState(v vm.Instance) string {
	if v.Phase != "" {
		return fmt.Sprintf("%s (%s)", v.Status, v.Phase)
	}
	return v.Status.String()
}

func gib(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
