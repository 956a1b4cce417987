package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend"
)

func newVM(g *global) *cobra.Command {
	c := group("vm", "Start, stop, open, make, clone, export and delete a Lima instance, give it a kernel, make its disk fit for others")
	c.AddCommand(newVMStart(g), newVMStop(), newVMShell(), newVMCreate(g), newVMClone(), newVMDelete(), newVMExport(g), newVMInstall(g), newVMSanitise())
	return c
}

// saidTo prints what limactl says while it works.
func saidTo(w io.Writer) func(backend.VMLine) {
	return func(l backend.VMLine) { fmt.Fprintln(w, l) }
}

func newVMStart(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "start NAME", Short: "Start an instance and wait until it is ready", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			return b.VMStart(c.Context(), a[0], saidTo(os.Stderr))
		},
	}
}

func newVMStop() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "stop NAME", Short: "Shut an instance down", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			return backend.VMStop(c.Context(), a[0], force, saidTo(os.Stderr))
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "pull the plug: what the guest has not written is lost")
	return c
}

func newVMShell() *cobra.Command {
	c := &cobra.Command{
		Use: "shell NAME [COMMAND…]", Short: "Open a shell in a running instance, or run a command there", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			argv, environ, err := backend.VMShell(c.Context(), a[0], a[1:]...)
			if err != nil {
				return err
			}
			// in this process's place: terminal, signals and exit code are limactl's
			return syscall.Exec(argv[0], argv, environ)
		},
	}
	c.Flags().SetInterspersed(false) // COMMAND's flags are COMMAND's
	return c
}

func newVMCreate(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "create NAME TARGET|FILE.yaml|URL", Short: "Make an instance of a published target or of a Lima template; it is not started", Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			return b.VMCreate(c.Context(), a[0], a[1], saidTo(os.Stderr))
		},
	}
}

func newVMInstall(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "install NAME TARGET", Short: "Put a target's built kernel into a running instance, start it again, and see that it runs", Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			release, err := b.VMInstall(c.Context(), a[0], a[1], os.Stderr, saidTo(os.Stderr))
			if err == nil {
				fmt.Printf("%s runs %s\n", a[0], release)
			}
			return err
		},
	}
}

func newVMSanitise() *cobra.Command {
	var yes string
	c := &cobra.Command{
		Use: "sanitise NAME", Short: "Remove keys, identities, histories and logs from a running instance, and shut it down for its export; after you typed its name", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			vm, err := backend.FindVM(a[0])
			if err != nil {
				return err
			}
			if err := sure("sanitise", vm.Name, "nobody can log in to "+vm.Name+" afterwards", yes, os.Stdin, os.Stdout); err != nil {
				return err
			}
			return backend.VMSanitise(c.Context(), a[0], os.Stderr, saidTo(os.Stderr))
		},
	}
	c.Flags().StringVar(&yes, "yes", "", "the instance's name once more, instead of typing it")
	return c
}

func newVMClone() *cobra.Command {
	return &cobra.Command{
		Use: "clone NAME NEW", Short: "Copy a stopped instance", Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			return backend.VMClone(c.Context(), a[0], a[1], saidTo(os.Stderr))
		},
	}
}

func newVMDelete() *cobra.Command {
	var yes string
	var force bool
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete an instance with its disk, after you typed its name", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			vm, err := backend.FindVM(a[0])
			if err != nil {
				return err
			}
			if err := sure("delete", vm.Name, fmt.Sprintf("%s and its disk (%s) cannot be brought back", vm.Name, gib(vm.DiskAllocated)), yes, os.Stdin, os.Stdout); err != nil {
				return err
			}
			return backend.VMDelete(c.Context(), a[0], force, saidTo(os.Stderr))
		},
	}
	c.Flags().StringVar(&yes, "yes", "", "the instance's name once more, instead of typing it")
	c.Flags().BoolVarP(&force, "force", "f", false, "one that runs, or is broken, too")
	return c
}

// sure wants the instance's name once more, from --yes or typed: a yes is said
// too easily for what cannot be undone.
func sure(verb, name, warning, yes string, in io.Reader, w io.Writer) error {
	if yes == "" {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return &usageError{fmt.Sprintf("vm %s: nothing was done: say --yes %s", verb, name)}
		}
		fmt.Fprintf(w, "%s. Type its name to %s it: ", warning, verb)
		yes, _ = bufio.NewReader(in).ReadString('\n')
	}
	if strings.TrimSpace(yes) != name {
		return &usageError{fmt.Sprintf("vm %s: nothing was done: %q is not %s", verb, strings.TrimSpace(yes), name)}
	}
	return nil
}
