package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"ingot/backend"
	"ingot/backend/doctor"
	"ingot/backend/vm"
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
	rep, err := doctor.Examine(ctx, b, o.targets...)
	if err != nil {
		return err
	}
	if o.install && !rep.OK() {
		for _, cmd := range rep.Install {
			fmt.Fprintf(os.Stderr, "+ %s\n", cmd)
			if err := doctor.Install(ctx, cmd, os.Getuid() == 0, func(c *exec.Cmd) { c.Stdout, c.Stderr, c.Stdin = os.Stderr, os.Stderr, os.Stdin }); err != nil {
				return err
			}
		}
		if rep, err = installInGuest(ctx, b, rep, o.targets); err != nil {
			return err
		}
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
	n := 0
	for _, c := range rep.Checks {
		if !c.OK {
			n++
		}
	}
	return &missingError{n}
}

// installInGuest installs what the guest lacks, for which it makes the forge VM if
// builds run there and there is none. It returns the report of afterwards.
func installInGuest(ctx context.Context, b *backend.Backend, rep doctor.Report, targets []string) (doctor.Report, error) {
	install := func() (err error) {
		if err = doctor.InstallInGuest(ctx, b, rep.InGuest, os.Stderr); err == nil {
			rep, err = doctor.Examine(ctx, b, targets...)
		}
		return err
	}
	if len(rep.Install) > 0 { // limactl may be there now
		var err error
		if rep, err = doctor.Examine(ctx, b, targets...); err != nil {
			return rep, err
		}
	}
	if !rep.NeedsForge() {
		return rep, install()
	}
	err := vm.WithForge(ctx, b, func(what string) { fmt.Fprintln(os.Stderr, what) }, func() (err error) {
		if rep, err = doctor.Examine(ctx, b, targets...); err == nil {
			err = install()
		}
		return err
	})
	return rep, err
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
