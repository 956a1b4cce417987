package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ingot/backend"
	"ingot/backend/run"
	"ingot/backend/verify"
	"ingot/backend/vm"
)

type runOptions struct {
	*global
	subject, arch string
	key           string
	memory        string
	wait          time.Duration
	lima          bool
	name          string
	command       []string
}

func newRun(g *global) *cobra.Command {
	o := &runOptions{global: g}
	c := &cobra.Command{
		Use: "run TARGET|FILE|URL [-- COMMAND…]", Short: "Start a disk with QEMU or Lima, to log in to it",
		Example: "  ingot run debian-12-arm64\n  ingot run disk.qcow2 --arch arm64 -- uname -a",
		Long: "Starts the newest disk of a target, any qcow2 or raw file, or the disk of a published release, which is\n" +
			"checked as by `ingot pull` and kept in the cache. The file is opened read-only.\n" +
			"Your public keys (~/.ssh/id_*.pub) may log in, on a port of 127.0.0.1. With a command, that\n" +
			"command runs in the machine, which then shuts down, and Ingot exits with its exit code;\n" +
			"without, the machine runs until Ctrl-C. Its changes are discarded. Nothing is recorded: `ingot prove` makes a proof.",
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if at := c.ArgsLenAtDash(); len(a) > 1 && at != 1 {
				return &usageError{fmt.Sprintf("%q: a command for the machine comes after --", a[1])}
			}
			o.subject, o.command = a[0], a[1:]
			return runRun(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.arch, "arch", "", "a file's architecture: arm64 or amd64 (default: from its name, else arm64)")
	c.Flags().StringVar(&o.key, "key", "", "of a release: the publisher's public key file (default: this home's keys)")
	c.Flags().StringVar(&o.memory, "memory", "", "memory of the machine, such as 2GiB (default: that of the target's proof)")
	c.Flags().BoolVar(&o.lima, "lima", false, "create a Lima instance and start it; the instance and its changes are kept")
	c.Flags().StringVar(&o.name, "name", "", "the instance's name, with --lima (default: the target's or the file's)")
	c.Flags().DurationVar(&o.wait, "wait", 10*time.Minute, "how long ssh may take to answer")
	return c
}

func runRun(ctx context.Context, o *runOptions) error {
	if err := checkArch(o.arch); err != nil {
		return err
	}
	if o.name != "" && !o.lima {
		return &usageError{"--name is the name of a Lima instance: add --lima"}
	}
	if o.wait <= 0 {
		return &usageError{fmt.Sprintf("--wait %s: the time must be positive", o.wait)}
	}
	memory, err := run.ParseSize(o.memory)
	if err != nil {
		return &usageError{fmt.Sprintf("--memory %q: %v", o.memory, err)}
	}
	release := isAddress(o.subject)
	if o.key != "" && !release {
		return &usageError{"--key is the key of a release's publisher: give the address of a release"}
	}
	b, err := o.open()
	if err != nil {
		return err
	}
	if release {
		p, err := pull(ctx, b, verify.PullOptions{Subject: o.subject, KeyFile: o.key})
		if err != nil {
			return err
		}
		o.subject = p.File
	}
	if o.lima {
		return runInLima(ctx, b, o, memory)
	}
	err = run.Run(ctx, b, run.Options{Subject: o.subject, Arch: o.arch, Memory: memory, Wait: o.wait, Command: o.command,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Notify: func(text string) { fmt.Fprintln(os.Stderr, text) },
		Ready: func(r run.Ready) {
			fmt.Fprintf(os.Stderr, "ready after %s; log in with\n  %s\n", r.After.Round(time.Second), r.SSH)
			if len(o.command) == 0 {
				fmt.Fprintln(os.Stderr, "Ctrl-C shuts it down")
			}
		}})
	var exit *run.ExitError
	if len(o.command) > 0 && errors.As(err, &exit) && exit.Code > 0 {
		return &insideError{exit.Code}
	}
	return err
}

// runInLima starts an instance and runs the command with limactl.
func runInLima(ctx context.Context, b *backend.Backend, o *runOptions, memory int64) error {
	name, err := run.Lima(ctx, b, run.Options{Subject: o.subject, Arch: o.arch, Memory: memory, Notify: func(text string) { fmt.Fprintln(os.Stderr, text) }}, o.name, limaOutput(os.Stderr))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "ready: `ingot vm shell %s` logs in, `ingot vm stop %s` shuts it down\n", name, name)
	if len(o.command) == 0 {
		return nil
	}
	argv, environ, err := vm.Shell(ctx, name, o.command...)
	if err != nil {
		return err
	}
	return syscall.Exec(argv[0], argv, environ)
}

func checkArch(arch string) error {
	switch arch {
	case "", "arm64", "amd64":
		return nil
	}
	return &usageError{fmt.Sprintf("--arch %q is not known; accepted: arm64, amd64", arch)}
}
