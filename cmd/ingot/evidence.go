package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingot/backend/macproof"
	"ingot/backend/status"
	"ingot/backend/verify"
)

func newEvidence(g *global) *cobra.Command {
	c := parent("evidence", "Print a piece of evidence, or this home's public key", "ingot evidence show proof-cc6e4bff5fc6")
	c.AddCommand(&cobra.Command{
		Use: "show ID", Short: "Print a piece of evidence and check its signature",
		Example: "  ingot evidence show proof-cc6e4bff5fc6", Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			d, err := b.Evidence(c.Context(), a[0])
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(d.Statement, "", "  ")
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", text)
			fmt.Fprintf(os.Stderr, "%s\n", d.Path)
			return verify.Believable(d)
		},
	}, newKey(g))
	return c
}

func newKey(g *global) *cobra.Command {
	var export, imported, retire string
	var rotate bool
	c := &cobra.Command{
		Use: "key", Short: "Print this home's public key, for verify --key and minisign -V",
		Example: "  ingot evidence key\n  ingot evidence key --export home.key", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			given := 0
			for flag, value := range map[string]string{"export": export, "import": imported, "retire": retire, "rotate": strconv.FormatBool(rotate)} {
				if !c.Flags().Changed(flag) {
					continue
				}
				if given++; value == "" {
					return &usageError{"evidence key: --" + flag + " needs a value"}
				}
			}
			if given > 1 {
				return &usageError{"evidence key: give one of --export, --import, --retire and --rotate"}
			}
			b, err := g.open()
			if err != nil {
				return err
			}
			switch {
			case export != "":
				return b.ExportKey(export)
			case imported != "":
				_, err = b.ImportKey(c.Context(), imported)
			case retire != "":
				err = b.RetireKey(c.Context(), retire)
			case rotate:
				_, err = b.RotateKey(c.Context())
			}
			if err != nil {
				return err
			}
			if b, err = g.open(); err != nil {
				return err
			}
			fmt.Print(b.PublicKey())
			return nil
		},
	}
	c.Flags().StringVar(&export, "export", "", "write the private key to this new file; anyone who has it can sign as this home")
	c.Flags().StringVar(&imported, "import", "", "use the private key in this file; signatures of the previous key stay valid")
	c.Flags().StringVar(&retire, "retire", "", "stop accepting the previous key with this id: what it signed does not count any more")
	c.Flags().BoolVar(&rotate, "rotate", false, "make a new private key; signatures of the previous key stay valid")
	return c
}

func newVerify(g *global) *cobra.Command {
	var opt verify.Options
	c := &cobra.Command{
		Use: "verify FILE|URL", Short: "Check digests, signatures and proof of a file or release",
		Example: "  ingot verify debian-12-arm64.qcow2 --boot\n  ingot verify https://s3.example.org/images/debian/12/arm64/20261124-1408/ --key publisher.pub",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			if opt.Subject, err = subject(a[0]); err != nil {
				return err
			}
			opt.Notify = func(msg string) { fmt.Fprintln(os.Stderr, msg) }
			v, err := verify.Check(c.Context(), b, opt)
			if err != nil {
				return err
			}
			return printVerified(os.Stdout, v, g.json)
		},
	}
	c.Flags().BoolVar(&opt.Boot, "boot", false, "boot the disk here and now")
	c.Flags().BoolVar(&opt.Lima, "lima", false, "start the release's disk with limactl, until its shell answers with the kernel that was proven")
	c.Flags().StringVar(&opt.KeyFile, "key", "", "the publisher's public key file (default: this home's keys, including retired ones)")
	c.Flags().BoolVar(&g.json, "json", false, "print the result as JSON")
	return c
}

// isAddress reports whether an argument is an address, and no path.
func isAddress(arg string) bool {
	return strings.Contains(arg, "://") || strings.HasPrefix(arg, "github:")
}

// subject returns an address as it is, and an absolute path for a path.
func subject(arg string) (string, error) {
	if isAddress(arg) {
		return arg, nil
	}
	return filepath.Abs(arg)
}

func printVerified(w io.Writer, v verify.Verified, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	fmt.Fprintf(w, "%s\n  sha256  %s\n  key     %s\n  files   %d compared\n", v.Subject, v.SHA256, v.Key, v.Files)
	for _, p := range v.Proofs {
		fmt.Fprintf(w, "  proof   %s\n", p)
	}
	if v.Booted != "" {
		fmt.Fprintf(w, "  booted  now: %s\n", v.Booted)
	}
	if v.Record != nil {
		printRecord(w, *v.Record)
	}
	return nil
}

func printRecord(w io.Writer, r macproof.Record) {
	c := r.Computer
	fmt.Fprintf(w, "  record  of %s, commit %s\n  on      %s, %s, %s %s\n  checks  %d passed, %d skipped\n", r.At.Format(time.DateOnly), r.Commit, c.Model, c.CPU, c.System, c.Version, r.Count(macproof.Passed), r.Count(macproof.Skipped))
	if !r.OnMac() {
		fmt.Fprintln(w, "  nothing of it ran on a Mac")
	}
	if r.Changed {
		fmt.Fprintln(w, "  the source had changes that are not in the commit")
	}
	for _, res := range r.Results {
		if res.Verdict == macproof.Skipped {
			fmt.Fprintf(w, "  skipped %s: %s\n", res.ID, res.Why)
		}
	}
}

func newLogs(g *global) *cobra.Command {
	var opt status.LogOptions
	c := &cobra.Command{
		Use: "logs TARGET", Short: "Print the logs of a target's last build, or of another one",
		Example: "  ingot logs debian-12-arm64 --step prove\n  ingot logs debian-12-arm64 --follow",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			opt.Target = a[0]
			return status.Logs(c.Context(), b, opt, os.Stdout)
		},
	}
	c.Flags().StringVar(&opt.Build, "build", "", "a build's id (default: the last one)")
	c.Flags().StringVar(&opt.Step, "step", "", "only logs whose name starts with this")
	c.Flags().BoolVarP(&opt.Follow, "follow", "f", false, "go on until the build ends")
	return c
}

func newExplain(g *global) *cobra.Command {
	var list bool
	c := &cobra.Command{
		Use: "explain FILE…", Short: "Name cause and fix of a serial log or of QEMU's messages",
		Long:    "Name cause and fix of what a machine or a program that ran QEMU printed: a serial log, QEMU's messages, the log of Lima, Packer, UTM, libvirt and others. FILE may be the folder of a Lima instance or another one with logs, an archive of logs such as a bundle of `ingot support`, or - for standard input. Causes come before their consequences.",
		Example: "  ingot explain serial.log\n  ingot explain ~/.lima/default\n  ingot explain --list",
		RunE: func(_ *cobra.Command, a []string) error {
			if list {
				return status.ListCauses(os.Stdout, g.json)
			}
			if len(a) == 0 {
				return &usageError{"explain: name a log file, a folder, or - for standard input, or --list"}
			}
			for _, f := range a {
				if err := explainFile(os.Stdout, f, g.json); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&list, "list", false, "list every cause that Ingot knows")
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	return c
}

func explainFile(w io.Writer, file string, asJSON bool) error {
	e, err := status.ExplainAt(file, os.Stdin)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	fmt.Fprintf(w, "%s: %s\n", file, e.ID)
	if e.Fix != "" {
		fmt.Fprintf(w, "  line:  %s\n  means: %s\n  next:  %s\n", e.Line, e.Means, e.Fix)
		if e.File != "" {
			fmt.Fprintf(w, "  in:    %s\n", e.File)
		}
	}
	for _, f := range e.Findings[min(1, len(e.Findings)):] {
		fmt.Fprintf(w, "  also:  %s: %s\n", f.ID, f.Line)
	}
	for _, l := range e.Tail {
		fmt.Fprintf(w, "  | %s\n", l)
	}
	return nil
}
