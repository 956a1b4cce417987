package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ingot/backend"
)

func newEvidence(g *global) *cobra.Command {
	c := group("evidence", "Look at what stands behind a tick")
	c.AddCommand(&cobra.Command{
		Use: "show ID", Short: "Print a document of the ledger and say whether it can be believed", Args: args(cobra.ExactArgs(1)),
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
			return backend.Believable(d)
		},
	}, newKey(g))
	return c
}

func newKey(g *global) *cobra.Command {
	var export, imported string
	var rotate bool
	c := &cobra.Command{
		Use: "key", Short: "Print this home's public key, for `ingot verify --key` and `minisign -V`", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			for _, flag := range []string{"export", "import"} {
				if c.Flags().Changed(flag) && export+imported == "" {
					return &usageError{"evidence key: --" + flag + " wants a file"}
				}
			}
			if rotate && export+imported != "" || export != "" && imported != "" {
				return &usageError{"evidence key: give one of --export, --import and --rotate"}
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
	c.Flags().StringVar(&export, "export", "", "write the private key to this new file; whoever has it can sign as this home")
	c.Flags().StringVar(&imported, "import", "", "take the private key from this file; the one before stays believed")
	c.Flags().BoolVar(&rotate, "rotate", false, "make a new private key; the one before stays believed")
	return c
}

func newVerify(g *global) *cobra.Command {
	var opt backend.VerifyOptions
	c := &cobra.Command{
		Use: "verify FILE|URL", Short: "Check digests, signatures and proof again; with --boot, boot it again",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			opt.Subject = a[0]
			if !strings.Contains(a[0], "://") {
				if opt.Subject, err = filepath.Abs(a[0]); err != nil {
					return err
				}
			}
			opt.Notify = func(msg string) { fmt.Fprintln(os.Stderr, msg) }
			v, err := b.Verify(c.Context(), opt)
			if err != nil {
				return err
			}
			return printVerified(os.Stdout, v, g.json)
		},
	}
	c.Flags().BoolVar(&opt.Boot, "boot", false, "boot the disk here and now")
	c.Flags().BoolVar(&opt.Lima, "lima", false, "start the release's disk with limactl, until `shell` answers with the kernel that was proven")
	c.Flags().StringVar(&opt.KeyFile, "key", "", "the publisher's public key file (default: this home's own, the earlier ones too)")
	c.Flags().BoolVar(&g.json, "json", false, "print the result as JSON")
	return c
}

func printVerified(w io.Writer, v backend.Verified, asJSON bool) error {
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
	return nil
}

func newLogs(g *global) *cobra.Command {
	var opt backend.LogOptions
	c := &cobra.Command{
		Use: "logs TARGET", Short: "Print the logs of a target's last build, or of another one",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			b, err := g.open()
			if err != nil {
				return err
			}
			opt.Target = a[0]
			return b.Logs(c.Context(), opt, os.Stdout)
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
		RunE: func(_ *cobra.Command, a []string) error {
			if list {
				return backend.ListCauses(os.Stdout, g.json)
			}
			if len(a) == 0 {
				return &usageError{"explain: name a log file, or - for standard input, or --list"}
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
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return &usageError{err.Error()}
	}
	e, err := backend.Explain(string(text))
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	fmt.Fprintf(w, "%s: %s\n", file, e.ID)
	if e.Fix != "" {
		fmt.Fprintf(w, "  line:  %s\n  means: %s\n  next:  %s\n", e.Line, e.Means, e.Fix)
	}
	for _, l := range e.Tail {
		fmt.Fprintf(w, "  | %s\n", l)
	}
	return nil
}
