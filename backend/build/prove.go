package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/proof"
	"ingot/backend/qemu"
)

func causeError(id string, err error) error { return cause.With(id, err) }

// NotProvenError is a proof that failed; the evidence has all of it.
type NotProvenError struct{ Proof evidence.Proof }

func (e *NotProvenError) Error() string {
	return fmt.Sprintf("%s does not boot: %s", e.Proof.Artifact, e.Proof.Message)
}

// Unwrap gives the proof's cause.
func (e *NotProvenError) Unwrap() error {
	return &cause.Error{ID: e.Proof.Cause, Err: errors.New(e.Proof.Message)}
}

// prove boots the primary artifact, unless signed evidence stands that these
// bytes booted on this QEMU and firmware.
func (r *run) prove(ctx context.Context, arts artifacts, keys Keys) error {
	host, err := qemu.FindHost(ctx, r.recipe.Arch)
	a := arts.primary()
	in := Inputs{"step": "prove/2", "artifact": a.SHA256, "kernel": arts.Kernel.Release + " " + arts.Kernel.BuildID, "recipe's proof": key(r.recipe.Proof),
		"tools": keys.Tools.Key(), "qemu": host.Version, "firmware": host.FirmwareDigest}
	stepKey := in.Key()
	if err != nil {
		return r.proveFailed(ctx, a, stepKey, hostError(err))
	}
	if !r.forced(StepProve) && r.stillProven(a.SHA256, stepKey) && r.evidenced(evidence.KindProof, stepKey) {
		d, _ := r.records.of(evidence.KindProof)
		r.skipped(StepProve, "these bytes booted in build "+d.Head.Build)
		return nil
	}
	tools, err := r.tools(ctx, keys.Tools)
	if err != nil {
		return r.proveFailed(ctx, a, stepKey, err)
	}
	watch := newClock()
	r.emit(event.Event{Kind: event.StepStarted, Step: StepProve, Msg: r.why(StepProve, evidence.KindProof, in)})
	if err := home.NeedSpace(os.TempDir(), proveSpace, "overlay of the booted image"); err != nil {
		return r.proveFailed(ctx, a, stepKey, err)
	}
	doc, err := proof.Prove(ctx, proof.Spec{Image: arts.path(a), Format: a.Format, SHA256: a.SHA256, Name: a.Name,
		Release: arts.Kernel.Release, BuildID: arts.Kernel.BuildID, Tools: tools, Recipe: r.recipe.Proof, Dir: r.folder.Dir,
		Booter: timedBooter{QEMU{Arch: r.recipe.Arch, Cache: r.Home.Cache, Children: r.Children}, watch}, Pack: r.Pack, Notify: func(msg string) { r.note(StepProve, "%s", msg) }})
	if err != nil {
		return r.proveFailed(ctx, a, stepKey, err)
	}
	if err := r.keepProof(ctx, in, a, doc); err != nil {
		return err
	}
	if doc.Verdict != evidence.Passed {
		err := &NotProvenError{doc}
		r.emit(r.failure(event.StepFinished, StepProve, err))
		return err
	}
	r.emit(watch.stamp(event.Event{Kind: event.StepFinished, Step: StepProve, Outcome: event.Passed}))
	return nil
}

// proveFailed records that the artifact could not be tried, or was tried in
// part: about its digest, so that its BOOTS cell says so.
func (r *run) proveFailed(ctx context.Context, a artifact, stepKey string, err error) error {
	return r.failedAbout(ctx, StepProve, stepKey, evidence.KindProof, a.subject(), err)
}

// stillProven tells whether the newest proof of the bytes is a pass of the key.
// After a failed or cancelled one an older pass does not make the step done: the
// status would go on showing the failure.
func (r *run) stillProven(sha256, stepKey string) bool {
	d, ok := r.records.newest(evidence.KindProof, sha256)
	return ok && passes(d) && d.Head.InputKey == stepKey
}

func (r *run) keepProof(ctx context.Context, in Inputs, a artifact, doc evidence.Proof) error {
	head := r.passedFor(evidence.KindProof, in)
	head.Verdict, head.Cause, head.Message, head.Fix = doc.Verdict, doc.Cause, doc.Message, doc.Fix
	doc.Head = head
	_, err := r.keep(ctx, a.subject(), head, doc)
	return err
}

// tools makes the disk of the smoke checks' programs, or finds it made.
func (r *run) tools(ctx context.Context, in Inputs) (string, error) {
	if len(r.recipe.Proof.Smoke.Checks) == 0 {
		return "", nil
	}
	if !r.done("tools", in.Key(), "") {
		if err := r.fetchPackages(ctx, r.lock.Smoke); err != nil {
			return "", err
		}
	}
	out, err := r.step(ctx, "tools", in, "", 256<<20, func(ctx context.Context, c *clock, dir string) (any, error) {
		w, log, err := r.work("tools", c)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		return struct{}{}, image.BuildTools(ctx, w, dir)
	})
	return out.file("tools.iso"), err
}

// ProveFile boots any image and returns the record with where it was kept.
// The recipe gives memory, deadlines and architecture.
func (l *Line) ProveFile(ctx context.Context, file, arch string, spec proof.Spec) (evidence.Document, evidence.Proof, error) {
	folder, err := l.FilesFolder()
	if err != nil {
		return evidence.Document{}, evidence.Proof{}, err
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return evidence.Document{}, evidence.Proof{}, err
	}
	spec.Image, spec.Name, spec.Dir = abs, filepath.Base(abs), folder.Dir
	spec.Booter, spec.Pack = QEMU{Arch: arch, Cache: l.Home.Cache, Children: l.Children}, l.Pack
	doc, err := l.proveInspected(ctx, spec)
	if err != nil {
		return evidence.Document{}, doc, err
	}
	digest, err := fetch.Digest(abs)
	if err != nil {
		return evidence.Document{}, doc, causeError("image.missing", err)
	}
	doc.Head = l.ProofHead(folder, doc, key("prove-file/1", digest))
	d, err := l.KeepFile(ctx, folder, evidence.Subject{Name: spec.Name, Digest: map[string]string{"sha256": digest}}, doc.Head, doc)
	return d, doc, err
}

// proveInspected refuses an image that cannot be read, with its cause as the
// proof's; otherwise it boots it.
func (l *Line) proveInspected(ctx context.Context, spec proof.Spec) (evidence.Proof, error) {
	info, err := inspect(spec.Image)
	if err == nil {
		spec.Format = info.Format
		return proof.Prove(ctx, spec)
	}
	id := cause.Of(err)
	if id == "" || id == "image.missing" {
		return evidence.Proof{}, err
	}
	f, _ := l.Pack.Describe(id)
	doc := evidence.Proof{Artifact: spec.Name}
	doc.Verdict, doc.Cause, doc.Message, doc.Fix = evidence.Failed, id, err.Error(), f.Fix
	return doc, nil
}
