package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/build/outputs"
	"ingot/backend/family"
)

// rebuildable are the steps whose output is a function of their inputs.
var rebuildable = []string{StepKernel, StepRootfs, StepImage, StepExport}

// checkedSteps returns the steps that a check makes again: those of --force, or all
// whose output is a function of their inputs.
func (o Options) checkedSteps() []string {
	if len(o.Force) > 0 {
		return o.Force
	}
	return rebuildable
}

// check makes existing outputs again, in a temporary folder and without the compiler
// cache, and compares them. Neither outputs nor evidence of the home change. The first
// difference is the error.
func (s *Session) check(ctx context.Context, plan Plan, frags []family.Fragment, first map[string]outputs.Output) error {
	scratch, err := outputs.Partial(filepath.Join(s.Home.Data, "outputs"), "checking")
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	again, mute := *s, *s.Build
	mute.Mute = true
	again.Build, again.scratch, again.rebuild, again.opt.Force = &mute, scratch, s.opt.checkedSteps(), nil
	err = compare(ctx, &again, plan, frags, first)
	return errors.Join(err, os.RemoveAll(scratch))
}

func compare(ctx context.Context, s *Session, plan Plan, frags []family.Fragment, first map[string]outputs.Output) error {
	again, err := s.execute(ctx, plan, frags, func(step string) bool {
		// the export of the new disk does not belong to the existing outputs
		return slices.Contains(rebuildable, step) && (step != StepExport || s.rebuilds(step))
	})
	if err != nil {
		return err
	}
	var same []string
	for _, name := range rebuildable {
		if !s.rebuilds(name) {
			continue
		}
		step, _ := plan.Step(name)
		a, had := first[name]
		if step.OnDemand && !had {
			a, had = s.Line.Outputs(step.Evidence).Load(name, step.Key)
		}
		b, ok := again[name]
		if !ok || !had {
			s.Note(name, "made again, but there is no earlier output to compare it with")
			continue
		}
		// the file name of an export contains the version
		if err := outputs.Same(name, a, b, name == StepExport, func(a, b string) (string, error) { return s.Family.Compare(s.Recipe, a, b) }); err != nil {
			return err
		}
		same = append(same, name)
	}
	s.Note("check", "the same bytes again: %s", strings.Join(same, ", "))
	return nil
}

// rebuilds reports whether this is a check that makes the step's output again.
func (s *Session) rebuilds(step string) bool { return slices.Contains(s.rebuild, step) }
