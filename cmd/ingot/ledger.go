package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ingot/backend/retention"
)

func newLedger(g *global) *cobra.Command {
	c := parent("ledger", "Check the folder of all evidence", "ingot ledger reindex")
	reindex := &cobra.Command{
		Use: "reindex", Short: "Read all documents, signatures and artifacts again",
		Example: "  ingot ledger reindex", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			rep, err := retention.Reindex(c.Context(), b)
			if perr := printReindexed(os.Stdout, rep, g.json); perr != nil {
				return perr
			}
			return err
		},
	}
	reindex.Flags().BoolVar(&g.json, "json", false, "print JSON")
	c.AddCommand(reindex)
	return c
}

func printReindexed(w io.Writer, rep retention.Reindexed, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(rep)
	}
	fmt.Fprintf(w, "%d builds, %d documents: %d signed passes, %d recorded failures; %d artifacts hashed\n", rep.Builds, rep.Documents, rep.Signed, rep.Recorded, rep.Files)
	for _, p := range rep.Problems {
		fmt.Fprintf(w, "  %s\n", p)
	}
	return nil
}
