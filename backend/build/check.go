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
	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/fetch"
)

// rebuildable are the steps whose output is a function of their inputs.
var rebuildable = []string{StepKernel, StepRootfs, StepImage, StepExport}

// NotReproducibleError describes the first difference between an output and its
// rebuild.
type NotReproducibleError struct{ Step, What string }

func (e *NotReproducibleError) Error() string {
	return fmt.Sprintf("the %s step is not reproducible: made again from the same inputs, its output differs: %s", e.Step, e.What)
}

// ErrorClass returns the class of the error; see package cause.
func (*NotReproducibleError) ErrorClass() cause.Class { return cause.Verify }

// CauseID returns the cause.
func (e *NotReproducibleError) CauseID() string { return "image.not-reproducible" }

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
		if err := sameBytes(s, name, a, b); err != nil {
			return err
		}
		same = append(same, name)
	}
	s.Note("check", "the same bytes again: %s", strings.Join(same, ", "))
	return nil
}

// sameBytes compares two outputs of a step, the most informative files first.
func sameBytes(s *Session, step string, a, b outputs.Output) error {
	names := sortedNames(a.Files)
	for _, telling := range []string{"config", family.TreeFile} {
		if i := slices.Index(names, telling); i > 0 {
			names = slices.Insert(slices.Delete(names, i, i+1), 0, telling)
		}
	}
	others := sortedNames(b.Files)
	for i, name := range names {
		other := name
		if step == StepExport { // its file name contains the version
			other = others[min(i, len(others)-1)]
		}
		if b.Files[other] == a.Files[name] {
			continue
		}
		what, err := s.Family.Compare(s.Recipe, a.File(name), b.File(other))
		if err != nil {
			return err
		}
		if what == "" { // the recorded digest is not that of the file
			sum, err := fetch.Digest(a.File(name))
			return errors.Join(fmt.Errorf("%s: file %s, record %s", a.File(name), sum, a.Files[name]), err)
		}
		return &NotReproducibleError{step, what}
	}
	return nil
}

func sortedNames(files map[string]string) []string {
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// rebuilds reports whether this is a check that makes the step's output again.
func (s *Session) rebuilds(step string) bool { return slices.Contains(s.rebuild, step) }
