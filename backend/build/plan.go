package build

import (
	"slices"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/target"
)

// Plan is the steps of a target's build as data: what each needs, and on what its
// output depends.
type Plan struct {
	Target   string `json:"target"`
	Strategy string `json:"strategy"`
	Steps    []Step `json:"steps"` // each after those that it needs

	keys Keys
}

// Step is one step of a plan.
type Step struct {
	Name  string   `json:"name"`
	Needs []string `json:"needs,omitempty"`
	// OnDemand steps make what only the steps that need them use: they run if one of
	// those has something to do.
	OnDemand bool `json:"onDemand,omitempty"`
	// InGuest steps run commands in the guest. It is opened for the first of them that
	// has something to do, and not at all if none has.
	InGuest bool `json:"inGuest,omitempty"`
	// Evidence is the kind of document of a pass; "" for a step whose output is only a
	// cache.
	Evidence evidence.Kind `json:"evidence,omitempty"`
	// Inputs are known for steps that depend only on recipe, lock and Ingot; those of
	// others depend on files that earlier steps make.
	Inputs record.Inputs `json:"inputs,omitempty"`
	Key    string        `json:"key,omitempty"` // of Inputs
	// Outlook is what a build would do with the step, and why; see Line.Plan.
	Outlook Outlook `json:"outlook,omitempty"`
	Why     string  `json:"why,omitempty"`

	room     uint64                 // upper bound of the bytes that it needs, at home and in the guest
	packages []target.LockedPackage // needed as files
	fails    evidence.Kind          // the kind whose cell shows that the step failed
	// changed reports whether what the output was made of has changed since, beyond the
	// inputs. nil means that the inputs are all.
	changed func(outputs.Output) bool
}

// Step finds a step by its name.
func (p Plan) Step(name string) (Step, bool) {
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == name })
	if i < 0 {
		return Step{}, false
	}
	return p.Steps[i], true
}

// stale reports whether what the step's output was made of has changed since. A build that
// was asked for other steps, such as a publish, takes the output that there is.
func (s Step) stale(out outputs.Output, force []string) bool {
	return s.changed != nil && len(force) == 0 && s.changed(out)
}

// PlanOf returns the plan of a recipe. fragments are the kernel's, in the recipe's
// order. A strategy that cannot be built yet is a *target.NotYetError.
func PlanOf(r target.Recipe, l target.Lock, fragments []family.Fragment) (Plan, error) {
	if err := r.Buildable(); err != nil {
		return Plan{}, err
	}
	keys, err := KeysOf(r, l, fragments)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Target: r.Name, Strategy: r.How(), keys: keys}
	if p.Steps = compose(r, l, keys); r.How() == target.VM {
		p.Steps = fromVM(r, l, keys)
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Inputs != nil {
			s.Key = s.Inputs.Key()
		}
		if s.fails == "" {
			s.fails = s.Evidence
		}
	}
	return p, nil
}

func kernelStep(l target.Lock, k Keys) Step {
	return Step{Name: StepKernel, InGuest: true, Evidence: evidence.KindKernel, Inputs: k.Kernel, room: kernelSpace, packages: []target.LockedPackage{l.Kernel}}
}

// compose returns the steps of the strategy compose: packages are written to a disk.
func compose(r target.Recipe, l target.Lock, k Keys) []Step {
	steps := []Step{
		kernelStep(l, k),
		{Name: StepRootfs, OnDemand: true, InGuest: true, Inputs: k.Rootfs, room: rootfsSpace, packages: l.Rootfs, fails: evidence.KindImage},
		{Name: StepImage, Needs: []string{StepKernel, StepRootfs}, InGuest: true, Evidence: evidence.KindImage, Inputs: k.Image, room: diskSpace},
		{Name: StepExport, Needs: []string{StepImage, StepKernel}, Evidence: evidence.KindArtifact, room: exportSpace},
	}
	prove := Step{Name: StepProve, Needs: []string{StepExport}, Evidence: evidence.KindProof, room: proveSpace}
	if len(r.Proof.Smoke.Checks) > 0 {
		steps = append(steps, Step{Name: stepTools, OnDemand: true, InGuest: true, Inputs: k.Tools, room: toolsSpace})
		prove.Needs = append(prove.Needs, stepTools)
	}
	return append(steps, prove, Step{Name: StepPublish, Needs: []string{StepExport, StepProve}, Evidence: evidence.KindReceipt})
}
