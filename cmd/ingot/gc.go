package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend/retention"
)

func newGC(g *global) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "gc", Short: "List, then remove, outputs, caches and builds that nothing needs",
		Example: "  ingot gc\n  ingot gc --yes", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			plan, err := retention.Plan(c.Context(), b)
			if err != nil {
				return err
			}
			if g.json {
				if yes {
					if plan, err = retention.Collect(c.Context(), b); err != nil {
						return err
					}
				}
				return json.NewEncoder(os.Stdout).Encode(plan)
			}
			printPlan(os.Stdout, plan)
			if len(plan.Remove) == 0 {
				return nil
			}
			if !yes {
				if !term.IsTerminal(int(os.Stdin.Fd())) {
					return &usageError{"gc: nothing was removed: add --yes to remove without a question"}
				}
				if !confirmed(os.Stdin, os.Stdout) {
					return nil
				}
			}
			_, err = retention.Collect(c.Context(), b)
			return err
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&g.json, "json", false, "print the plan as JSON; remove only with --yes")
	return c
}

func printPlan(w io.Writer, plan retention.Collection) {
	for _, g := range plan.Remove {
		fmt.Fprintf(w, "remove  %9.1f MB on disk (%.1f MB apparent)  %s: %s\n", float64(g.Allocated)/1e6, float64(g.Apparent)/1e6, g.Path, g.Why)
	}
	fmt.Fprintf(w, "%d things to remove, %.1f MB on disk; %d outputs and builds stay\n", len(plan.Remove), float64(plan.Allocated())/1e6, plan.Kept)
}

// confirmed asks whether to continue; an empty answer means no.
func confirmed(in io.Reader, w io.Writer) bool {
	fmt.Fprint(w, "Go on? [y/N] ")
	answer, _ := bufio.NewReader(in).ReadString('\n')
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

func newPin(g *global) *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use: "pin TARGET [BUILD]", Short: "Keep a build (default: the last passed) from gc",
		Example: "  ingot pin debian-12-arm64\n  ingot pin debian-12-arm64 --remove", Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			id := ""
			if len(a) == 2 {
				id = a[1]
			}
			if err := retention.Pin(b, a[0], id, !remove); err != nil {
				return err
			}
			pins, err := retention.Pins(b)
			for _, p := range pins {
				fmt.Println(p)
			}
			return err
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "remove the pin")
	return c
}
