package build

import (
	"context"
	"slices"
	"strings"

	"ingot/backend/build/outputs"
	"ingot/backend/evidence"
)

// Outlook is what a build would do with a step now.
type Outlook string

// Outlooks. The zero value is that of a step whose inputs are not known yet, because
// they depend on the output of an earlier step.
const (
	OutlookUnknown   Outlook = ""
	OutlookUnchanged Outlook = "unchanged"  // its output and evidence exist
	OutlookRuns      Outlook = "runs"       // it would run
	OutlookNotNeeded Outlook = "not needed" // made on demand, and no step needs it
	OutlookBeyond    Outlook = "left out"   // the build ends before it
)

// Plan returns the plan of a target's build with these options, and what the build
// would do with each step now. It runs, fetches and records nothing.
func (l *Line) Plan(ctx context.Context, opt Options) (Plan, error) {
	s, err := l.look(ctx, opt)
	if err != nil {
		return Plan{}, err
	}
	frags, err := Fragments(l.Targets, s.Recipe)
	if err != nil {
		return Plan{}, err
	}
	p, err := PlanOf(s.Recipe, s.Lock, frags)
	if err != nil {
		return Plan{}, err
	}
	o := &outlook{Session: s, plan: &p, got: map[string]outputs.Output{}}
	for i := range p.Steps {
		if step := &p.Steps[i]; !step.OnDemand {
			o.foresee(ctx, step)
		}
	}
	for i := range p.Steps {
		if step := &p.Steps[i]; step.OnDemand {
			o.foreseeOnDemand(step)
		}
	}
	return p, nil
}

// outlook computes the outlooks of a plan.
type outlook struct {
	*Session
	plan *Plan
	got  map[string]outputs.Output // of the steps that are unchanged
}

// look returns a session that records nothing.
func (l *Line) look(ctx context.Context, opt Options) (*Session, error) {
	s, err := l.prepare(opt)
	if err != nil {
		return nil, err
	}
	if s.Build, err = l.Records().Look(ctx, s.Recipe.Name); err != nil {
		return nil, err
	}
	if s.Lock, err = l.Targets.Lock(s.Recipe); err == nil {
		err = s.Lock.Check(s.Recipe)
	}
	return s, err
}

// foresee sets the outlook of a step, and its inputs if the outputs that they depend on
// exist.
func (s *outlook) foresee(ctx context.Context, step *Step) {
	if !s.goesTo(step.Name) {
		step.Outlook = OutlookBeyond
		return
	}
	known := !slices.ContainsFunc(step.Needs, func(n string) bool {
		need, _ := s.plan.Step(n)
		return !need.OnDemand && need.Outlook != OutlookUnchanged
	})
	if step.Inputs == nil && known {
		s.inputsNow(ctx, step)
	}
	if step.Inputs == nil {
		step.Why = "its inputs depend on the steps before it"
		return
	}
	step.Key = step.Inputs.Key()
	if step.Name == StepProve {
		if (&prover{Session: s.Session, in: step.Inputs}).proven() {
			d, _ := s.Documents.Of(evidence.KindProof)
			step.Outlook, step.Why = OutlookUnchanged, "these bytes booted in build "+d.Head.Build
			return
		}
	} else if s.done(*step) {
		out, _ := s.outputs(*step).Load(step.Name, step.Key)
		s.got[step.Name] = out
		step.Outlook, step.Why = OutlookUnchanged, "since build "+out.Build
		return
	}
	step.Outlook, step.Why = OutlookRuns, s.why(*step)
}

// inputsNow computes the inputs of a step that depend on files, as far as possible:
// only the publish step can find out what is already published.
func (s *outlook) inputsNow(ctx context.Context, step *Step) {
	switch step.Name {
	case StepExport:
		img := s.got[StepImage]
		step.Inputs = ExportInputs(s.Recipe, img.Key, img.Files["disk.raw"])
	case StepProve:
		if out := s.got[StepExport]; out.Decode(&s.arts) == nil && len(s.arts.Files) > 0 {
			s.arts.Dir = out.Dir
			if in, err := (&prover{Session: s.Session, keys: s.plan.keys}).inputs(ctx); err == nil {
				step.Inputs = in
			}
		}
	}
}

// foreseeOnDemand sets the outlook of a step that runs only if a step that needs it
// runs.
func (s *outlook) foreseeOnDemand(step *Step) {
	step.Outlook, step.Why = OutlookNotNeeded, "no step that needs it runs"
	var users []string
	runs, unknown := false, false
	for _, u := range s.plan.Steps {
		if slices.Contains(u.Needs, step.Name) {
			users = append(users, u.Name)
			runs, unknown = runs || u.Outlook == OutlookRuns, unknown || u.Outlook == OutlookUnknown
		}
	}
	switch {
	case runs || s.forced(step.Name):
		if s.done(*step) {
			step.Outlook, step.Why = OutlookUnchanged, "in the cache"
			return
		}
		step.Outlook, step.Why = OutlookRuns, s.why(*step)
	case unknown:
		step.Outlook, step.Why = OutlookUnknown, "it runs if "+strings.Join(users, " or ")+" does"
	}
}
