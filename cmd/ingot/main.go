// Command ingot forges, boots and publishes VM images from a terminal.
//
// It has one file per verb, each with an options struct and a run function. The
// work is done in the packages below backend.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ingot/backend"
	"ingot/backend/api"
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute is main with an exit code, so that testscript can call it.
func execute(args []string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "ingot: internal error: %v\nThis is a bug in Ingot; please report it with the command that you ran.\n", p)
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
		fmt.Fprintln(os.Stderr, "ingot: cancelled; run the command again to continue")
		return exitCancelled
	}
	report(os.Stderr, err)
	return codeOf(err)
}

// global has the flags of all verbs.
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
		Long:          "Ingot forges VM images for M-series Macs. It builds a target's kernel, makes its disk image,\nboots that very image and publishes it. `ingot status` derives what is proved of each target from\nsigned evidence.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       api.Version,
	}
	verbsOnly(root)
	root.PersistentFlags().StringVar(&g.guest, "guest", "", "run kernel and image steps in this guest of config.yaml, or in the Lima instance lima:NAME (default: this host)")
	root.PersistentFlags().BoolVarP(&g.verbose, "verbose", "v", false, "print more about the steps and programs that run")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Sprintf("%v: `%s --help` lists the flags", err, c.CommandPath())}
	})
	addVerbs(root, g)
	completeValues(root, g)
	root.SetHelpCommand(newHelp(root))
	root.SetHelpCommandGroupID(groupHome)
	root.SetCompletionCommandGroupID(groupHome)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd() // created now rather than by cobra, so that its arguments are checked like those of other verbs
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		verbsOnly(c)
		c.Short, c.Example = "Print the completion script of a shell", "  ingot completion zsh"
		for _, shell := range c.Commands() {
			shell.Args = args(cobra.NoArgs)
		}
	}
	return root
}

// args wraps cobra's argument checks, so that they exit with the usage code.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			if c.HasSubCommands() && len(a) > 0 {
				return unknownCommand(c, a[0])
			}
			return &usageError{fmt.Sprintf("%v: usage: %s", err, c.UseLine())}
		}
		return nil
	}
}
