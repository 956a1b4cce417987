package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend/doctor"
)

type packerOptions struct {
	*global
	doctor.PackerOptions
	fix, write, yes bool
}

func newPacker(g *global) *cobra.Command {
	c := parent("packer", "Say why a Packer template does not start its machine, or run it", "ingot packer doctor debian.pkr.hcl")
	c.AddCommand(newPackerDoctor(g), newPackerRun(g))
	return c
}

func newPackerDoctor(g *global) *cobra.Command {
	o := &packerOptions{global: g}
	c := &cobra.Command{
		Use: "doctor FILE.pkr.hcl|DIR", Short: "Find what keeps a Packer template's QEMU from starting",
		Long: "Reads a template of Packer's builder qemu, predicts the command line that QEMU gets, and compares it with\n" +
			"what this computer's QEMU can do, or that of another platform. With a log of Packer it begins with what QEMU\n" +
			"wrote. It starts no build. Each finding has an id, a position, a reason and a fix.",
		Example: "  ingot packer doctor netbsd.pkr.hcl\n  ingot packer doctor . --log packer.log --var-file arm64.pkrvars.hcl\n  ingot packer doctor netbsd.pkr.hcl --for darwin/arm64 --fix",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			o.Path = a[0]
			return runPackerDoctor(c.Context(), o, os.Stdin, os.Stdout)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Log, "log", "", "a log of Packer; with PACKER_LOG=1 it has QEMU's own messages")
	f.StringVar(&o.For, "for", "", "judge for the platform `OS/ARCH` instead of this computer: "+strings.Join(doctor.PackerPlatforms(), ", "))
	f.StringArrayVar(&o.Vars, "var", nil, "`NAME=VALUE` of a variable, as for packer build; may be repeated")
	f.StringArrayVar(&o.VarFiles, "var-file", nil, "a file *.pkrvars.hcl, as for packer build; may be repeated")
	f.BoolVar(&o.fix, "fix", false, "show the fixes that can be applied as a diff")
	f.BoolVar(&o.write, "write", false, "with --fix, write them into the template, after a question")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&g.json, "json", false, "print the diagnosis as JSON")
	_ = c.RegisterFlagCompletionFunc("for", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return doctor.PackerPlatforms(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func runPackerDoctor(ctx context.Context, o *packerOptions, in io.Reader, w io.Writer) error {
	if o.write && !o.fix {
		return &usageError{"packer doctor: --write goes with --fix"}
	}
	d, err := doctor.ExaminePacker(ctx, o.PackerOptions)
	if err != nil {
		return err
	}
	var m *doctor.PackerMended
	if o.fix {
		if m, err = doctor.MendPacker(ctx, o.PackerOptions); err != nil {
			return err
		}
		d.Changes = m.Changes
	}
	if o.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(d); err != nil {
			return err
		}
	} else {
		printDiagnosis(w, d)
		if m != nil {
			printMended(w, m)
		}
	}
	if m == nil || !o.write || len(m.Changes) == 0 {
		return d.Err()
	}
	return writeMended(o, m, in, w)
}

// writeMended writes the fixed files after a question. The verb then ends as a diagnosis of
// the fixed template would.
func writeMended(o *packerOptions, m *doctor.PackerMended, in io.Reader, w io.Writer) error {
	if !o.yes {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return &usageError{"packer doctor: nothing was written: add --yes to write without a question"}
		}
		if !confirmed(in, w) {
			return m.After.Err()
		}
	}
	if err := m.Write(); err != nil {
		return err
	}
	for _, c := range m.Changes {
		fmt.Fprintf(os.Stderr, "written: %s\n", c.File)
	}
	return m.After.Err()
}

func printDiagnosis(w io.Writer, d *doctor.PackerDiagnosis) {
	where := d.Platform
	if d.DataOf != "" {
		where += " (data of " + d.DataOf + ")"
	}
	count := "no findings"
	switch n := len(d.Findings); {
	case n == 1:
		count = "1 finding"
	case n > 1:
		count = fmt.Sprintf("%d findings", n)
	}
	fmt.Fprintf(w, "%s: %s for %s, %s\n", d.Template, count, where, d.Builder)
	if d.Summary != "" {
		fmt.Fprintf(w, "  %s\n", d.Summary)
	}
	for _, f := range d.Findings {
		printPackerFinding(w, f)
	}
	for i, p := range d.Problems {
		if i == 0 {
			fmt.Fprintln(w, "\nalso:")
		}
		fmt.Fprintf(w, "  %s\n", p)
	}
}

func printPackerFinding(w io.Writer, f doctor.PackerFinding) {
	fmt.Fprintf(w, "\n✗ %s\n", strings.TrimSpace(f.ID+"  "+f.Position()))
	if f.Written != "" {
		fmt.Fprintf(w, "    written: %s\n", f.Written)
	}
	from := f.From
	if f.LogLine > 0 {
		from = fmt.Sprintf("%s, line %d", f.From, f.LogLine)
	}
	fmt.Fprintf(w, "    why:     %s\n    fix:     %s\n    from:    %s (%s)\n", f.Why, f.Fix, from, f.Certainty)
}

func printMended(w io.Writer, m *doctor.PackerMended) {
	if len(m.Changes) == 0 {
		fmt.Fprintln(w, "\nNo fix can be written into the template by itself.")
		return
	}
	fmt.Fprintln(w)
	for _, c := range m.Changes {
		fmt.Fprint(w, c.Diff)
	}
	if n := len(m.After.Findings); n > 0 {
		fmt.Fprintf(w, "\nAfter these changes %d findings are left:\n", n)
		for _, f := range m.After.Findings {
			fmt.Fprintf(w, "  %s  %s\n", f.ID, f.Fix)
		}
	}
}
