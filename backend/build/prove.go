package build

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/fetch"
	"ingot/backend/home"
	"ingot/backend/machine"
	"ingot/backend/proof"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// NotProvenError is a proof that failed; the evidence has the details.
type NotProvenError struct{ Proof evidence.Proof }

func (e *NotProvenError) Error() string {
	return fmt.Sprintf("%s does not boot: %s", e.Proof.Artifact, e.Proof.Message)
}

// ErrorClass returns the class of the error; see package cause.
func (*NotProvenError) ErrorClass() cause.Class { return cause.Unproven }

// Unwrap returns an error with the proof's cause.
func (e *NotProvenError) Unwrap() error {
	return &cause.Error{ID: e.Proof.Cause, Err: errors.New(e.Proof.Message)}
}

// prover runs the prove step of a build, and the tools step that it may need.
type prover struct {
	*Session
	keys     Keys          // of the plan
	in       record.Inputs // set by inputs
	toolsErr error         // the error of the tools step
}

// tools makes the disk with the smoke checks' programs. Its failure is recorded as that
// of the proof that needs it.
func (s *prover) tools(ctx context.Context, step Step) (outputs.Output, error) {
	if !s.done(step) {
		s.toolsErr = s.fetchPackages(ctx, s.Lock.Smoke)
	}
	var out outputs.Output
	if s.toolsErr == nil {
		out, s.toolsErr = s.simple(ctx, step, s.Family.BuildTools)
	}
	return out, nil
}

// todo reports whether the exported disk must be booted.
func (s *prover) todo(ctx context.Context, _ map[string]outputs.Output) (todo bool, err error) {
	s.in, err = s.inputs(ctx)
	return err == nil && !s.proven(), err
}

// inputs returns the inputs of the proof of the exported disk with this computer's QEMU
// and firmware. An error is recorded as the proof's.
func (s *prover) inputs(ctx context.Context) (record.Inputs, error) {
	host, err := qemu.FindHostBy(ctx, s.Recipe.Arch, s.Recipe.Board().Firmware, fetch.Digest)
	a := s.arts.Primary()
	in := proveInputs(s.Recipe, a.SHA256, s.arts.Kernel.Release+" "+s.arts.Kernel.BuildID, s.keys.Tools, host)
	if err != nil {
		return in, s.proveFailed(ctx, a, in.Key(), err)
	}
	return in, nil
}

// proven reports whether there is signed evidence that the exported disk booted with
// this QEMU and firmware.
func (s *prover) proven() bool {
	key := s.in.Key()
	return !s.forced(StepProve) && s.stillProven(s.arts.Primary().SHA256, key) && s.Evidenced(evidence.KindProof, key)
}

// run boots the primary artifact, unless it is proven.
func (s *prover) run(ctx context.Context, got map[string]outputs.Output) (outputs.Output, error) {
	return outputs.Output{}, s.prove(ctx, got[stepTools])
}

func (s *prover) prove(ctx context.Context, tools outputs.Output) error {
	a, in, key := s.arts.Primary(), s.in, s.in.Key()
	if s.toolsErr != nil {
		return s.proveFailed(ctx, a, key, s.toolsErr)
	}
	if s.proven() {
		d, _ := s.Documents.Of(evidence.KindProof)
		s.Skipped(StepProve, "these bytes booted in build "+d.Head.Build)
		return nil
	}
	watch := record.NewClock()
	s.Emit(event.Event{Kind: event.StepStarted, Step: StepProve, Msg: s.why(Step{Name: StepProve, Evidence: evidence.KindProof, Inputs: in})})
	if err := home.NeedSpace(os.TempDir(), proveSpace, "overlay of the booted image"); err != nil {
		return s.proveFailed(ctx, a, key, err)
	}
	spec := proof.Spec{Image: s.arts.Path(a), Format: a.Format, SHA256: a.SHA256, Name: a.Name,
		Release: s.arts.Kernel.Release, BuildID: s.arts.Kernel.BuildID, Recipe: s.Recipe.Proof, Console: s.Recipe.Console, Identity: s.Recipe.Identity, Dir: s.Folder.Dir, Dialect: dialectOf(s.Family),
		Booter: proof.Timed(machine.QEMU{Arch: s.Recipe.Arch, Board: s.Recipe.Board(), Cache: s.Home.Cache, Children: s.Children}, watch.Child), Pack: s.Pack, Notify: func(msg string) { s.Note(StepProve, "%s", msg) }}
	if tools.Dir != "" {
		spec.Tools = tools.File("tools.iso")
	}
	doc, err := proof.Prove(ctx, spec)
	if err != nil {
		return s.proveFailed(ctx, a, key, err)
	}
	if err := s.keepProof(ctx, in, a, doc); err != nil {
		return err
	}
	if doc.Verdict != evidence.Passed {
		err := &NotProvenError{doc}
		s.Emit(s.Failure(event.StepFinished, StepProve, err))
		return err
	}
	s.Emit(watch.Stamp(event.Event{Kind: event.StepFinished, Step: StepProve, Outcome: event.Passed}))
	return nil
}

// proveInputs returns the inputs of the prove step. Keys that were added to recipes
// later are included only if the recipe has them, so that the keys of other recipes do
// not change.
func proveInputs(r target.Recipe, artifact, kernel string, tools record.Inputs, host qemu.Host) record.Inputs {
	in := record.Inputs{"step": "prove/3", "artifact": artifact, "kernel": kernel, "recipe's proof": record.Key(r.Proof),
		"tools": tools.Key(), "qemu": host.Version, "firmware": host.FirmwareDigest}
	for name, value := range r.ProofInputs() {
		in[name] = record.Key(value)
	}
	return in
}

// proveFailed records that the artifact could not be booted. The evidence is about its
// digest, so that its BOOTS cell shows the failure.
func (s *prover) proveFailed(ctx context.Context, a release.Artifact, stepKey string, err error) error {
	return s.FailedAbout(ctx, StepProve, stepKey, evidence.KindProof, a.Subject(), err)
}

// stillProven reports whether the newest proof of the bytes is a pass of the key. After
// a failed or cancelled proof an older pass is not enough: the status would continue to
// show the failure.
func (s *prover) stillProven(sha256, stepKey string) bool {
	d, ok := s.Documents.Newest(evidence.KindProof, sha256)
	return ok && record.Passes(d) && d.Head.InputKey == stepKey
}

func (s *prover) keepProof(ctx context.Context, in record.Inputs, a release.Artifact, doc evidence.Proof) error {
	head := s.PassedFor(evidence.KindProof, in)
	head.Verdict, head.Cause, head.Message, head.Fix = doc.Verdict, doc.Cause, doc.Message, doc.Fix
	doc.Head = head
	_, err := s.Keep(ctx, a.Subject(), head, doc)
	return err
}

// Prover is a family whose systems have a dialect of their own in a proof. Those of the
// others speak proof.Linux.
type Prover interface{ Dialect() proof.Dialect }

func dialectOf(f family.Family) proof.Dialect {
	if p, ok := f.(Prover); ok {
		return p.Dialect()
	}
	return proof.Linux{}
}
