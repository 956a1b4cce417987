package status

import (
	"encoding/json"
	"fmt"
	"io"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/proof"
)

// Explanation is the result of Explain; see cause.Pack.Explain.
type Explanation = cause.Explanation

// Rule is one entry of the rule pack, as `ingot explain --list --json` prints it.
type Rule = cause.Rule

// Explain finds the cause in a serial log, QEMU's messages, or a capture of
// both.
func Explain(text string) (Explanation, error) {
	pack, err := cause.Shipped()
	if err != nil {
		return Explanation{}, err
	}
	return pack.Explain(text), nil
}

// ListCauses writes every cause with its meaning and fix.
func ListCauses(w io.Writer, asJSON bool) error {
	pack, err := cause.Shipped()
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(pack.Rules)
	}
	seen := map[string]bool{}
	for _, r := range pack.Rules {
		if !seen[r.ID] {
			fmt.Fprintf(w, "%-28s %s\n", r.ID, r.Means)
		}
		seen[r.ID] = true
	}
	return nil
}

// Phases finds the phases of a boot in a console log, without times; see proof.Phases.
func Phases(lines []string) ([]evidence.Phase, error) { return proof.Phases(lines) }
