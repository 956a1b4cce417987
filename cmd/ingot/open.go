package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"ingot/app"
	"ingot/backend/doctor"
)

// newOpen shows a target's page, or checks a file, in the app's window.
func newOpen(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "open [TARGET|FILE]", Short: "Open the app's window: at a target's page, or to check a file",
		Example: "  ingot open\n  ingot open debian-12-arm64\n  ingot open ~/Downloads/some.qcow2",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			item := app.Scheme + "://"
			if len(a) > 0 {
				var err error
				if item, err = openable(g, a[0]); err != nil {
					return err
				}
			}
			program, err := doctor.FindApp()
			if err != nil {
				return err
			}
			cmd := exec.CommandContext(c.Context(), program, "open", item)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			return cmd.Run()
		},
	}
}

// openable returns the link of a target's page, or the path of a file. A target is taken
// before a file of the same name.
func openable(g *global, name string) (string, error) {
	b, err := g.open()
	if err != nil {
		return "", err
	}
	if slices.Contains(b.Targets.Names(), name) { // one with a mistake, too
		return app.Scheme + "://" + app.RouteOf(name), nil
	}
	if _, err := os.Stat(name); err == nil {
		return filepath.Abs(name)
	}
	_, err = b.Targets.Get(name)
	return "", err
}
