package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend"
	"ingot/backend/doctor"
	"ingot/backend/verify"
)

type packerRunOptions struct {
	*global
	doctor.PackerRunOptions
	prove bool
}

func newPackerRun(g *global) *cobra.Command {
	o := &packerRunOptions{global: g}
	c := &cobra.Command{
		Use: "run FILE.pkr.hcl|DIR [-- PACKER ARGUMENTS…]", Short: "Run Packer on a template, say why it failed, and check the disk",
		Long: "Looks at a template as `ingot packer doctor` does, runs your Packer on it (`packer build`) and keeps its log.\n" +
			"After a failure it names the reason. After a success it prints path, size, format and SHA-256 of the disk;\n" +
			"with --prove it boots the disk and records that. What comes after -- are arguments of `packer build`.",
		Example: "  ingot packer run debian.pkr.hcl\n  ingot packer run . --prove -- -force -only=qemu.debian",
		Args: func(c *cobra.Command, a []string) error {
			named := a
			if n := c.ArgsLenAtDash(); n >= 0 {
				named = a[:n]
			}
			return args(cobra.ExactArgs(1))(c, named)
		},
		RunE: func(c *cobra.Command, a []string) error {
			o.Path, o.Args = a[0], a[1:]
			return runPackerRun(c.Context(), o, os.Stdout)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.prove, "prove", false, "boot the disk and record the result, as the verb prove does")
	f.BoolVar(&o.Anyway, "anyway", false, "start Packer although the template cannot work, or cannot be read here")
	f.StringArrayVar(&o.Vars, "var", nil, "a variable `NAME=VALUE`, as for packer build; may be repeated")
	f.StringArrayVar(&o.VarFiles, "var-file", nil, "a `FILE` of variables (*.pkrvars.hcl), as for packer build; may be repeated")
	f.BoolVar(&g.json, "json", false, "print messages as NDJSON")
	return c
}

func runPackerRun(ctx context.Context, o *packerRunOptions, w io.Writer) error {
	// A reader that goes away, as in `ingot packer run … | head`, and a terminal that is
	// closed interrupt Packer: it would go on with its machine.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGPIPE, syscall.SIGHUP)
	defer stop()
	b, err := o.open()
	if err != nil {
		return err
	}
	o.Color = !o.json && term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
	r, err := doctor.PreparePackerRun(ctx, b, o.PackerRunOptions)
	if err != nil {
		return err
	}
	show := packerView{w: w, json: o.json}
	show.before(r)
	if err := r.Stopped(); err != nil {
		return err
	}
	out, err := r.Start(ctx, show.line)
	if out == nil {
		return err
	}
	if o.prove && err == nil {
		err = provePackerDisks(ctx, b, out, show.proof)
	}
	show.end(out, err)
	return err
}

// provePackerDisks boots every disk, and returns the errors of those that do not boot.
func provePackerDisks(ctx context.Context, b *backend.Backend, out *doctor.PackerOutcome, notify func(string)) (errs error) {
	for i := range out.Disks {
		d := &out.Disks[i]
		id, p, err := verify.Prove(ctx, b, d.Path, d.Arch, notify)
		if d.Evidence = id; id != "" {
			d.Verdict = string(p.Verdict)
		}
		if err != nil {
			out.Passed = false
			errs = errors.Join(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errs
}

// packerView shows a run: as text, or as messages in JSON.
type packerView struct {
	w    io.Writer
	json bool
}

func (v packerView) message(m doctor.PackerMessage) {
	m.At = time.Now().UTC()
	_ = json.NewEncoder(v.w).Encode(m) // a closed pipe ends the run by SIGPIPE
}

func (v packerView) before(r *doctor.PackerRun) {
	if v.json {
		m := doctor.PackerMessage{Kind: doctor.PackerDiagnosed, Diagnosis: r.Before}
		if r.Unread != nil {
			m.Text = r.Unread.Error()
		}
		v.message(m)
		return
	}
	if r.Unread != nil {
		fmt.Fprintf(v.w, "%s: not looked at: %v\n", r.Path, r.Unread)
	} else {
		printDiagnosis(v.w, r.Before)
	}
	fmt.Fprintln(v.w)
}

func (v packerView) line(text string) {
	if v.json {
		v.message(doctor.PackerMessage{Kind: doctor.PackerPrinted, Text: text})
		return
	}
	fmt.Fprintln(v.w, text)
}

func (v packerView) proof(text string) {
	if v.json {
		v.message(doctor.PackerMessage{Kind: doctor.PackerProving, Text: text})
		return
	}
	fmt.Fprintln(os.Stderr, text)
}

func (v packerView) end(out *doctor.PackerOutcome, err error) {
	if v.json {
		m := doctor.PackerMessage{Kind: doctor.PackerEnded, Outcome: out}
		if err != nil {
			m.Text = err.Error()
		}
		v.message(m)
		return
	}
	fmt.Fprintln(v.w)
	if out.After != nil {
		printDiagnosis(v.w, out.After)
	}
	for _, d := range out.Disks {
		printPackerDisk(v.w, d)
	}
	fmt.Fprintf(v.w, "log: %s\n", out.Log)
}

func printPackerDisk(w io.Writer, d doctor.PackerDisk) {
	what := []string{d.Format, fmt.Sprintf("%d bytes", d.Bytes)}
	if d.VirtualSize != d.Bytes {
		what = append(what, fmt.Sprintf("%d bytes for the guest", d.VirtualSize))
	}
	if d.Arch != "" {
		what = append(what, d.Arch)
	}
	fmt.Fprintf(w, "%s\n  disk      %s\n  sha256    %s\n", d.Path, strings.Join(what, ", "), d.SHA256)
	if d.Evidence != "" {
		fmt.Fprintf(w, "  boot      %s\n  evidence  %s\n", d.Verdict, d.Evidence)
	}
}
