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

	"ingot/backend"
)

func newGC(g *global) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "gc", Short: "Remove outputs, caches and old builds that nothing needs; the plan is shown first", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			plan, err := b.GCPlan(c.Context())
			if err != nil {
				return err
			}
			if g.json {
				if yes {
					if plan, err = b.Collect(c.Context()); err != nil {
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
					return &usageError{"gc: nothing was removed: say --yes"}
				}
				if !confirmed(os.Stdin, os.Stdout) {
					return nil
				}
			}
			_, err = b.Collect(c.Context())
			return err
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&g.json, "json", false, "print the plan as JSON; remove only with --yes")
	return c
}

func printPlan(w io.Writer, plan backend.Collection) {
	for _, g := range plan.Remove {
		fmt.Fprintf(w, "remove  %9.1f MB on disk (%.1f MB apparent)  %s: %s\n", float64(g.Allocated)/1e6, float64(g.Apparent)/1e6, g.Path, g.Why)
	}
	fmt.Fprintf(w, "%d things to remove, %.1f MB on disk; %d outputs and builds stay\n", len(plan.Remove), float64(plan.Allocated())/1e6, plan.Kept)
}

// confirmed asks one question; no answer is a no.
func confirmed(in io.Reader, w io.Writer) bool {
	fmt.Fprint(w, "Go on? [y/N] ")
	answer, _ := bufio.NewReader(in).ReadString('\n')
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

func newPin(g *global) *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use: "pin TARGET [BUILD]", Short: "Keep a build and its outputs from `gc` (default: the target's last build)", Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			id := ""
			if len(a) == 2 {
				id = a[1]
			}
			if err := b.Pin(a[0], id, !remove); err != nil {
				return err
			}
			pins, err := b.Pins()
			for _, p := range pins {
				fmt.Println(p)
			}
			return err
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "let it go")
	return c
}
