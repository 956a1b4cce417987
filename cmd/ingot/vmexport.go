package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend/vm"
)

type vmExportOptions struct {
	*global
	name, out, format string
	stop, force       bool
}

func newVMExport(g *global) *cobra.Command {
	o := &vmExportOptions{global: g}
	c := &cobra.Command{
		Use: "export NAME", Short: "Write an instance's disk to a file and search it for secrets",
		Example: "  ingot vm export default --output default-arm64.qcow2", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			o.name = a[0]
			return runVMExport(c.Context(), o, os.Stdout)
		},
	}
	c.Flags().StringVarP(&o.out, "output", "o", "", "the file to write (default: NAME-ARCH.FORMAT here)")
	c.Flags().StringVar(&o.format, "format", "qcow2", "qcow2, raw, or tar.zst: the files of the root file system")
	c.Flags().BoolVar(&o.stop, "stop", false, "shut a running instance down for the export, and start it again")
	c.Flags().BoolVar(&o.force, "force", false, "overwrite an existing file")
	c.Flags().BoolVar(&g.json, "json", false, "print the result as JSON")
	return c
}

func runVMExport(ctx context.Context, o *vmExportOptions, w io.Writer) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	if o.out == "" {
		vm, err := vm.Find(o.name)
		if err != nil {
			return err
		}
		o.out = filepath.Base(fmt.Sprintf("%s-%s.%s", vm.Name, vm.Arch, o.format)) // `ingot prove` derives the architecture from the name
	}
	file, err := outputFile(o.out, o.force)
	if err != nil {
		return err
	}
	opt := vm.ExportOptions{Name: o.name, File: file, Format: o.format, Stop: o.stop, Notify: func(msg string) { fmt.Fprintln(os.Stderr, msg) }}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		opt.Agree = func(question string) bool { return agreed(question, os.Stdin, os.Stderr) }
	}
	res, err := vm.Export(ctx, b, opt)
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(w).Encode(res)
	}
	fmt.Fprintf(w, "%s\n  sha256:   %s\n  taken:    %s\n  evidence: %s\n", res.File, res.SHA256, res.Method, res.Evidence)
	for _, a := range res.Leaks.Areas {
		if a.Note != "" {
			fmt.Fprintf(w, "  searched: %s, %s: %s\n", a.Name, a.FileSystem, a.Note)
		}
	}
	if n := len(res.Leaks.Blocking()); n > 0 {
		fmt.Fprintf(w, "  leaks:    %d findings that must not be published: `ingot scan %s` lists them\n", n, filepath.Base(res.File))
	}
	return nil
}

// outputFile returns the absolute path of a file to write. It refuses an
// existing file or symbolic link unless force is set.
func outputFile(name string, force bool) (string, error) {
	file, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(file); err == nil && !force {
		return "", &usageError{fmt.Sprintf("%s exists: choose another file with --output, or overwrite it with --force", file)}
	}
	return file, nil
}

// agreed asks a yes-or-no question.
func agreed(question string, in io.Reader, w io.Writer) bool {
	fmt.Fprintf(w, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
