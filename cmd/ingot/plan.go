package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"ingot/backend"
	"ingot/backend/status"
)

// keyDigits is the number of digits of a key in the table, as many as in the
// names of outputs.
const keyDigits = 16

// writePlan prints the steps of a build and which of them would run.
func writePlan(ctx context.Context, w io.Writer, b *backend.Backend, o *buildOptions) error {
	p, err := status.Plan(ctx, b, o.Submission)
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(w).Encode(p)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "STEP\tNEEDS\tOUTLOOK\tKEY\tWHY")
	for _, s := range p.Steps {
		key := s.Key[:min(keyDigits, len(s.Key))]
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.Name, cmp.Or(strings.Join(s.Needs, ", "), "–"), cmp.Or(string(s.Outlook), "unknown"), cmp.Or(key, "–"), s.Why)
	}
	return tw.Flush()
}
