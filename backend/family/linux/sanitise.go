package linux

import (
	"context"
	"fmt"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/sanitise"
)

// SanitiseRules returns resources/sanitise/linux.yaml.
func (System) SanitiseRules() (*sanitise.Rules, error) { return sanitise.For("linux") }

// Sanitise applies the rules, or measures what they would take out.
func (s System) Sanitise(ctx context.Context, g guest.Guest, o family.SanitiseOptions) (evidence.Sanitised, error) {
	rules, err := s.SanitiseRules()
	if err != nil {
		return evidence.Sanitised{}, err
	}
	functions, err := scripts.ReadFile("scripts/sanitise.sh")
	if err != nil {
		return evidence.Sanitised{}, err
	}
	of := sanitise.System{Guest: g, Functions: string(functions), Free: string(o.Free), Log: o.Log}
	if o.DryRun {
		out, err := rules.Measure(ctx, of, o.Choice)
		if err != nil {
			err = fmt.Errorf("measure what would be taken out of guest %s: %w", g.Name(), err)
		}
		return out, err
	}
	out, err := rules.Apply(ctx, of, o.Choice)
	if err != nil {
		return out, cause.With("image.leftover", fmt.Errorf("sanitise guest %s: %w", g.Name(), err))
	}
	return out, nil
}
