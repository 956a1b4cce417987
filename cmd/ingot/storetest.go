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

func newStoreTest(g *global) *cobra.Command {
	c := &cobra.Command{
		Use: "test", Short: "Check that the configured or local store can take releases",
		Example: "  ingot store test",
		Args:    args(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return testStore(c.Context(), g, os.Stdout) },
	}
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	return c
}

func testStore(ctx context.Context, g *global, w io.Writer) error {
	b, err := g.open()
	if err != nil {
		return err
	}
	address, found, err := b.ProbeEndpoint(ctx)
	if err != nil {
		return err
	}
	if g.json {
		if err := json.NewEncoder(w).Encode(found); err != nil {
			return err
		}
		return backend.Lacking(address, found)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, a := range found {
		mark := "yes"
		if !a.OK {
			mark = "NO"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", mark, a.Name, a.Why, a.Seen)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return backend.Lacking(address, found)
}
