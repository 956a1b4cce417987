// Command ingot forges, boots and publishes VM images from a terminal.
//
// It is a face of package backend: one file a verb, each an options struct and
// a run function, and holds no logic of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ingot/backend"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main with an exit code; testscript calls it too.
func run(args []string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "ingot: internal error: %v\nThis is a defect of Ingot; please report it with the command that you gave.\n", p)
			code = exitInternal
		}
	}()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "ingot: cancelled (a build goes on from its last finished step when it is called again)")
		return exitCancelled
	}
	report(os.Stderr, err)
	return codeOf(err)
}

// global holds the flags of every verb.
type global struct {
	guest   string
	verbose bool
	json    bool
}

// open opens the home for a verb.
func (g *global) open() (*backend.Backend, error) {
	opt := backend.Options{Guest: g.guest}
	if g.verbose {
		opt.Log = os.Stderr
	}
	return backend.Open(opt)
}

func newRoot() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:           "ingot",
		Short:         "Forge VM images for M-series Macs, boot them, publish them, and prove it",
		Long:          "Ingot builds a target's kernel, makes its disk image, boots that very image and publishes it.\nA status is never stored: `ingot status` derives it from signed evidence.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       backend.Version,
	}
	verbsOnly(root)
	root.PersistentFlags().StringVar(&g.guest, "guest", "", "run kernel and image steps in this guest of config.yaml, or in the Lima instance lima:NAME (default: this host)")
	root.PersistentFlags().BoolVarP(&g.verbose, "verbose", "v", false, "say more about what goes on inside")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Sprintf("%v: `%s --help` lists the flags", err, c.CommandPath())}
	})
	root.AddCommand(newBuild(g), newStatus(g), newTarget(g), newDoctor(g), newProve(g), newRun(g), newScan(), newExport(g), newPublish(g),
		newVerify(g), newEvidence(g), newLogs(g), newStore(g), newExplain(g), newGC(g), newPin(g), newLedger(g), newOwner(g), newBuilds(g), newCancel(g), newFollow(g), newWorker(g), newWorkers(g), newHome(g), newSupport(g), newUninstall(g), newVMs(g), newVM(g))
	completeValues(root, g)
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultCompletionCmd() // now, and not by cobra when it runs, so that its calls are checked like ours
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		verbsOnly(c)
		for _, shell := range c.Commands() {
			shell.Args = args(cobra.NoArgs)
		}
	}
	return root
}

// group is a command that only holds others.
func group(use, short string) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	verbsOnly(c)
	return c
}

// verbsOnly makes a command without work of its own print its help, and refuse
// a word that is none of its commands: cobra would print help and call it done.
func verbsOnly(c *cobra.Command) {
	c.Args = func(c *cobra.Command, a []string) error {
		if len(a) > 0 {
			return &usageError{fmt.Sprintf("unknown command %q: `%s --help` lists the commands", a[0], c.CommandPath())}
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about a command",
		RunE: func(_ *cobra.Command, a []string) error {
			c, rest, err := root.Find(a)
			if err != nil || len(rest) > 0 {
				return &usageError{fmt.Sprintf("there is no command %q: `ingot --help` lists the commands", strings.Join(a, " "))}
			}
			return c.Help()
		},
	}
}

// args wraps cobra's argument checks so that they end with the usage code.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return &usageError{fmt.Sprintf("%v: usage: %s", err, c.UseLine())}
		}
		return nil
	}
}
