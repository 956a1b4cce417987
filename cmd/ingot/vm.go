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

	"ingot/backend/vm"
)

func newVM(g *global) *cobra.Command {
	c := parent("vm", "Start, stop, create, export or change a Lima instance", "ingot vm start default")
	c.AddCommand(newVMStart(g), newVMStop(), newVMShell(), newVMCreate(g), newVMClone(), newVMDelete(), newVMExport(g), newVMImage(g), newVMInstall(g), newVMSanitise())
	return c
}

// limaOutput returns a function that prints limactl's messages.
func limaOutput(w io.Writer) func(vm.Line) {
	return func(l vm.Line) { fmt.Fprintln(w, l) }
}

func newVMStart(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "start NAME", Short: "Start an instance and wait until it is ready",
		Example: "  ingot vm start default", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			return vm.Start(c.Context(), b, a[0], limaOutput(os.Stderr))
		},
	}
}

func newVMStop() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "stop NAME", Short: "Shut an instance down",
		Example: "  ingot vm stop default", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			return vm.Stop(c.Context(), a[0], force, limaOutput(os.Stderr))
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "power off at once; data that the guest has not written to its disk is lost")
	return c
}

func newVMShell() *cobra.Command {
	c := &cobra.Command{
		Use: "shell NAME [COMMAND…]", Short: "Open a shell in a running instance, or run a command in it",
		Example: "  ingot vm shell default\n  ingot vm shell default uname -r", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			argv, environ, err := vm.Shell(c.Context(), a[0], a[1:]...)
			if err != nil {
				return err
			}
			// replaces this process: terminal, signals and exit code are limactl's
			return syscall.Exec(argv[0], argv, environ)
		},
	}
	c.Flags().SetInterspersed(false) // flags after NAME belong to COMMAND
	return c
}

func newVMCreate(g *global) *cobra.Command {
	var forge bool
	c := &cobra.Command{
		Use: "create NAME TARGET|FILE.yaml|URL", Short: "Create an instance from a published target or a Lima template",
		Example: "  ingot vm create web debian-12-arm64\n  ingot vm create " + vm.ForgeName + " --forge", Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(c *cobra.Command, a []string) error {
			switch {
			case forge && (len(a) > 1 || a[0] != vm.ForgeName):
				return &usageError{"vm create: the forge VM is made by `ingot vm create " + vm.ForgeName + " --forge`"}
			case !forge && len(a) < 2:
				return &usageError{"vm create: give a target, a template or its address after the name"}
			}
			b, err := g.open()
			if err != nil {
				return err
			}
			if forge {
				return vm.CreateForge(c.Context(), b, func(what string) { fmt.Fprintln(os.Stderr, what) })
			}
			return vm.Create(c.Context(), b, a[0], a[1], limaOutput(os.Stderr))
		},
	}
	c.Flags().BoolVar(&forge, "forge", false, "make the VM in which builds run on a computer that is not Linux")
	return c
}

func newVMInstall(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "install NAME TARGET", Short: "Install a target's kernel in a running instance and reboot it",
		Example: "  ingot vm install default debian-13-arm64", Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			release, err := vm.Install(c.Context(), b, a[0], a[1], os.Stderr, limaOutput(os.Stderr))
			if err == nil {
				fmt.Printf("%s runs %s\n", a[0], release)
			}
			return err
		},
	}
}

func newVMClone() *cobra.Command {
	return &cobra.Command{
		Use: "clone NAME NEW", Short: "Copy a stopped instance",
		Example: "  ingot vm clone default copy", Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			return vm.Clone(c.Context(), a[0], a[1], limaOutput(os.Stderr))
		},
	}
}

func newVMDelete() *cobra.Command {
	var yes string
	var force bool
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete an instance with its disk, after you typed its name",
		Example: "  ingot vm delete copy", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			machine, err := vm.Find(a[0])
			if err != nil {
				return err
			}
			if err := confirmName("delete", machine.Name, fmt.Sprintf("%s and its disk (%s) cannot be restored", machine.Name, gib(machine.DiskAllocated)), yes, os.Stdin, os.Stdout); err != nil {
				return err
			}
			return vm.Delete(c.Context(), a[0], force, limaOutput(os.Stderr))
		},
	}
	c.Flags().StringVar(&yes, "yes", "", "confirm with the instance's name instead of typing it")
	c.Flags().BoolVarP(&force, "force", "f", false, "delete it even if it runs or is broken")
	return c
}

// confirmName requires the instance's name, from --yes or typed: a simple yes
// is given too easily for an action that cannot be undone.
func confirmName(verb, name, warning, yes string, in io.Reader, w io.Writer) error {
	if yes == "" {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return &usageError{fmt.Sprintf("vm %s: nothing was done: add --yes %s", verb, name)}
		}
		fmt.Fprintf(w, "%s. Type its name to %s it: ", warning, verb)
		yes, _ = bufio.NewReader(in).ReadString('\n')
	}
	if strings.TrimSpace(yes) != name {
		return &usageError{fmt.Sprintf("vm %s: nothing was done: %q is not %s", verb, strings.TrimSpace(yes), name)}
	}
	return nil
}
