package vm

import (
	"context"
	"io"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/guest/lima"
	"ingot/backend/sanitise"
)

// SanitiseChoice says which rules of package sanitise are applied.
type SanitiseChoice = sanitise.Choice

// Sanitised is the report of the rules, with an item for each.
type (
	Sanitised     = evidence.Sanitised
	SanitisedItem = evidence.SanitisedItem
)

// Sanitise removes from a running instance what identifies it and its users, and shuts
// it down. Afterwards no account can log in to it, and its disk can be exported. log,
// which must not be nil, gets what could not be removed; that is an error, and the
// instance keeps running.
func Sanitise(ctx context.Context, name string, choice SanitiseChoice, log io.Writer, onLine func(Line)) (Sanitised, error) {
	_, l, err := limactlFor(ctx, name) // before anything is removed
	if err != nil {
		return Sanitised{}, err
	}
	out, err := sanitised(ctx, name, family.SanitiseOptions{Choice: choice, Free: family.OverwriteFree, Log: log})
	if err != nil {
		return out, err
	}
	return out, l.Stop(ctx, name, false, onLine)
}

// MeasureSanitise counts what Sanitise would remove from a running instance, and changes
// nothing.
func MeasureSanitise(ctx context.Context, name string, choice SanitiseChoice, log io.Writer) (Sanitised, error) {
	return sanitised(ctx, name, family.SanitiseOptions{Choice: choice, DryRun: true, Log: log})
}

func sanitised(ctx context.Context, name string, o family.SanitiseOptions) (out Sanitised, err error) {
	vm, err := Find(name)
	if err != nil {
		return out, err
	}
	s, err := all.System(vm.OS)
	if err != nil {
		return out, err
	}
	rules, err := s.SanitiseRules()
	if err != nil {
		return out, err
	}
	if ps := rules.Check(o.Choice); len(ps) > 0 {
		return out, &ChoiceError{ps}
	}
	g, err := lima.Open(ctx, vm)
	if err != nil {
		return out, err
	}
	out, err = s.Sanitise(ctx, g, o)
	_ = g.Close() // its key may be removed
	return out, err
}

// ChoiceError reports rules that cannot be kept, or that are no optional ones.
type ChoiceError struct{ Problems []string }

func (e *ChoiceError) Error() string { return "rule " + strings.Join(e.Problems, "\nrule ") }

// ErrorClass returns the class of the error; see package cause.
func (*ChoiceError) ErrorClass() cause.Class { return cause.Input }
