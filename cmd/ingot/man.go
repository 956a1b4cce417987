package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"ingot/backend/api"
)

// newMan returns the hidden verb that writes the manual's pages for `make install` and
// packages.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man FOLDER", Short: "Write the manual's pages, one for each verb, into a folder", Hidden: true,
		Example: "  ingot man share/man/man1", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if err := os.MkdirAll(a[0], 0o755); err != nil {
				return fmt.Errorf("man: %w", err)
			}
			day := time.Unix(1e9, 0).UTC() // the same bytes each time
			root := c.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "INGOT", Section: "1", Source: "Ingot " + api.Version, Manual: "Ingot", Date: &day}, a[0])
		},
	}
}
