package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend"
)

type statusOptions struct {
	*global
	targets []string
	watch   bool
}

func newStatus(g *global) *cobra.Command {
	o := &statusOptions{global: g}
	c := &cobra.Command{
		Use:   "status [TARGET…]",
		Short: "Show what is proved of each target, derived from evidence now",
		RunE: func(c *cobra.Command, a []string) error {
			o.targets = a
			return runStatus(c.Context(), o, os.Stdout)
		},
	}
	c.Flags().BoolVar(&g.json, "json", false, "print the rows as JSON")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "print again whenever something changes, until Ctrl-C")
	return c
}

func runStatus(ctx context.Context, o *statusOptions, w io.Writer) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	if o.watch {
		return watchStatus(ctx, b, o, w)
	}
	rows, err := b.Status(ctx, o.targets...)
	if err != nil {
		return err
	}
	return o.print(w, b, rows)
}

// watchPoll is how often a watcher looks: the table is folded from files.
const watchPoll = time.Second

// watchStatus prints the rows whenever they have changed: one line of JSON
// each time, or on a terminal in place of the table before.
func watchStatus(ctx context.Context, b *backend.Backend, o *statusOptions, w io.Writer) error {
	last := ""
	for {
		rows, err := b.Status(ctx, o.targets...)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if o.json {
			err = json.NewEncoder(&out).Encode(rows)
		} else {
			err = o.print(&out, b, rows)
		}
		if err != nil {
			return err
		}
		if out.String() != last {
			last = out.String()
			if !o.json && term.IsTerminal(int(os.Stdout.Fd())) {
				fmt.Fprint(w, "\x1b[H\x1b[2J") // home, clear
			}
			fmt.Fprint(w, last)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPoll):
		}
	}
}

func (o *statusOptions) print(w io.Writer, b *backend.Backend, rows []backend.Row) error {
	if o.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	return printRows(w, b, rows)
}

// glyphs of the states; the word beside says the same to those who see none.
var glyphs = map[backend.State]string{
	backend.Unknown: "·", backend.Running: "…", backend.Passed: "✓", backend.Failed: "✗", backend.Cancelled: "–", backend.Stale: "~",
}

func printRows(w io.Writer, b *backend.Backend, rows []backend.Row) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i, r := range rows {
		if i == 0 {
			head := []string{"TARGET"}
			for _, c := range r.Cells() {
				head = append(head, strings.ToUpper(c.Name))
			}
			fmt.Fprintln(tw, strings.Join(head, "\t"))
		}
		states, ids := []string{r.Target}, []string{""}
		for _, c := range r.Cells() {
			word := c.Cell.State.String()
			if c.Cell.Note != "" {
				word += " (" + c.Cell.Note + ")"
			}
			states = append(states, glyphs[c.Cell.State]+" "+word)
			ids = append(ids, c.Cell.Evidence)
		}
		fmt.Fprintln(tw, strings.Join(states, "\t"))
		fmt.Fprintln(tw, strings.Join(ids, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	explainRows(w, b, rows)
	return nil
}

// explainRows says for every cell that did not pass why, and what to do.
func explainRows(w io.Writer, b *backend.Backend, rows []backend.Row) {
	for _, r := range rows {
		for _, c := range r.Cells() {
			if c.Cell.Cause == "" {
				continue
			}
			fmt.Fprintf(w, "\n%s, %s: %s: %s\n", r.Target, c.Name, c.Cell.Cause, c.Cell.Message)
			if f, ok := b.Describe(c.Cell.Cause); ok {
				fmt.Fprintf(w, "  next: %s\n", f.Fix)
			}
		}
	}
}
