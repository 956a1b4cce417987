package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/status"
)

type statusOptions struct {
	*global
	targets []string
	watch   bool
}

func newStatus(g *global) *cobra.Command {
	o := &statusOptions{global: g}
	c := &cobra.Command{
		Use:     "status [TARGET…]",
		Short:   "Show what is proven for each target",
		Example: "  ingot status\n  ingot status debian-12-arm64 --watch",
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
	rows, err := status.Rows(ctx, b, o.targets...)
	if err != nil {
		return err
	}
	return o.print(w, b, rows)
}

// watchPoll is the time between two reads of the files that the table is
// derived from.
const watchPoll = time.Second

// watchStatus prints the rows whenever they have changed: as one line of JSON,
// or on a terminal in place of the previous table.
func watchStatus(ctx context.Context, b *backend.Backend, o *statusOptions, w io.Writer) error {
	last := ""
	for {
		rows, err := status.Rows(ctx, b, o.targets...)
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

func (o *statusOptions) print(w io.Writer, b *backend.Backend, rows []api.Row) error {
	if o.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	fix := func(cause string) string {
		f, _ := b.Describe(cause)
		return f.Fix
	}
	_, err := io.WriteString(w, render(rows, terminalWidth(os.Stdout), fix))
	return err
}
