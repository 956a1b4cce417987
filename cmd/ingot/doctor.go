package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ingot/backend/doctor"
)

type doctorOptions struct {
	*global
	install bool
	targets []string
}

func newDoctor(g *global) *cobra.Command {
	o := &doctorOptions{global: g}
	c := &cobra.Command{
		Use: "doctor [TARGET…]", Short: "List what is missing on this computer and how to install it",
		Example: "  ingot doctor debian-12-arm64\n  ingot doctor --install debian-12-arm64",
		RunE: func(c *cobra.Command, a []string) error {
			o.targets = a
			return runDoctor(c.Context(), o, os.Stdout)
		},
	}
	c.Flags().BoolVar(&o.install, "install", false, "install what is missing (root, or sudo)")
	c.Flags().BoolVar(&g.json, "json", false, "print the report as JSON")
	return c
}

// missingError is the error of doctor if something is missing.
type missingError struct{ n int }

func (e *missingError) Error() string { return fmt.Sprintf("%d things are missing", e.n) }

func runDoctor(ctx context.Context, o *doctorOptions, w io.Writer) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	var rep doctor.Report
	if o.install {
		rep, err = doctor.Mend(ctx, b, os.Stdin, os.Stderr, o.targets...)
	} else {
		rep, err = doctor.Examine(ctx, b, o.targets...)
	}
	if err != nil {
		return err
	}
	if o.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		err = enc.Encode(rep)
	} else {
		printReport(w, rep)
	}
	if err != nil || rep.OK() {
		return err
	}
	return &missingError{len(rep.Missing())}
}

func printReport(w io.Writer, rep doctor.Report) {
	for _, c := range rep.Checks {
		mark := "✓"
		if !c.OK {
			mark = "✗"
		}
		fmt.Fprintf(w, "%s %s: %s\n", mark, c.Name, c.Why)
		if !c.OK && c.Install != "" {
			fmt.Fprintf(w, "    %s\n", c.Install)
		}
	}
	printCommands(w, "what the guest "+rep.Guest+" lacks, as root there", rep.InGuest)
	printCommands(w, "what is missing", rep.Install)
}

func printCommands(w io.Writer, what string, commands []string) {
	if len(commands) == 0 {
		return
	}
	fmt.Fprintf(w, "\nThese commands install %s; `ingot doctor --install` runs them:\n", what)
	for _, cmd := range commands {
		fmt.Fprintf(w, "    %s\n", cmd)
	}
}
