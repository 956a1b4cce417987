package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ingot/backend/vm"
)

func newVMSanitise() *cobra.Command {
	var yes string
	var dry, asJSON bool
	var choice vm.SanitiseChoice
	c := &cobra.Command{
		Use: "sanitise NAME", Short: "Remove keys, identities and logs, then shut the instance down",
		Long:    "Removes from a running instance what identifies it and its users, and shuts it down: then its disk can be\nexported. No account can log in to it afterwards. --dry-run only counts what would be removed.",
		Example: "  ingot vm sanitise web --dry-run\n  ingot vm sanitise web --also package-cache", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			machine, err := vm.Find(a[0])
			if err != nil {
				return err
			}
			if dry {
				found, err := vm.MeasureSanitise(c.Context(), machine.Name, choice, os.Stderr)
				if err != nil {
					return err
				}
				return printSanitised(os.Stdout, found, true, asJSON)
			}
			if err := confirmName("sanitise", machine.Name, "no user can log in to "+machine.Name+" afterwards", yes, os.Stdin, os.Stdout); err != nil {
				return err
			}
			removed, err := vm.Sanitise(c.Context(), machine.Name, choice, os.Stderr, limaOutput(os.Stderr))
			if err != nil {
				return err
			}
			return printSanitised(os.Stdout, removed, false, asJSON)
		},
	}
	f := c.Flags()
	f.StringVar(&yes, "yes", "", "confirm with the instance's name instead of typing it")
	f.BoolVar(&dry, "dry-run", false, "only count what would be removed")
	f.BoolVar(&asJSON, "json", false, "print what was removed, and what stays, as JSON")
	sanitiseFlags(f, &choice)
	return c
}

// sanitiseFlags adds the flags of a choice among the rules of sanitise.
func sanitiseFlags(f *pflag.FlagSet, c *vm.SanitiseChoice) {
	f.StringSliceVar(&c.Keep, "keep", nil, "a `RULE` that is not applied; may be repeated")
	f.StringSliceVar(&c.Also, "also", nil, "an optional `RULE` that is applied: package-cache, containers; may be repeated")
}

// printSanitised prints what the rules found: what is removed, and what stays and why.
func printSanitised(w io.Writer, s vm.Sanitised, dry, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	removed := "removed"
	if dry {
		removed = "would be removed"
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(tw, "RULE\tFILES\tSIZE\t%s\n", strings.ToUpper(removed))
	for _, i := range s.Removed {
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\n", i.Rule, i.Files, mebibytes(i.Size), i.What)
	}
	fmt.Fprintln(tw, "\t\t\tSTAYS")
	for _, i := range s.Stays {
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s: %s\n", i.Rule, i.Files, mebibytes(i.Size), i.What, i.Why)
	}
	return tw.Flush()
}

// mebibytes formats a size in bytes.
func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
