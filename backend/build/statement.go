package build

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
)

// evidenced tells whether signed evidence of a pass stands for the key; the
// newest such document is what later steps refer to.
func (r *run) evidenced(kind evidence.Kind, key string) bool {
	return kind == "" || r.records.choose(kind, key) || kind == evidence.KindKernel && r.adoptKernel(key)
}

// adoptKernel takes over the kernel that another target of this home built
// from the same inputs: the signed statement is made again for this target.
func (r *run) adoptKernel(key string) bool {
	ctx := context.Background()
	names, err := r.Ledger.Targets()
	if err != nil {
		return false
	}
	for _, n := range names {
		docs, err := r.ledger(ctx, n)
		if err != nil {
			continue
		}
		for _, d := range docs {
			var k evidence.Kernel
			if d.Head.Kind != evidence.KindKernel || d.Head.InputKey != key || d.Trust != evidence.Signed || d.Decode(&k) != nil {
				continue
			}
			k.Head = r.passedFor(evidence.KindKernel, d.Head.Inputs)
			if _, err := r.keep(ctx, d.Subject(), k.Head, k); err == nil {
				return true
			}
		}
	}
	return false
}

// stepFailed writes the failure into journal and ledger and returns err. There
// are no bytes yet that it could be about: the subject is the step's inputs.
func (r *run) stepFailed(ctx context.Context, name, key string, kind evidence.Kind, err error) error {
	return r.failedAbout(ctx, name, key, kind, evidence.Subject{Name: "inputs of " + name, Digest: map[string]string{"sha256": key}}, err)
}

// failedAbout is stepFailed of a step that is about bytes that are there.
func (r *run) failedAbout(ctx context.Context, name, key string, kind evidence.Kind, subject evidence.Subject, err error) error {
	err = fmt.Errorf("%s step: %w", name, err)
	e := r.failure(event.StepFinished, name, err)
	r.emit(e)
	if kind == "" {
		kind = map[string]evidence.Kind{StepRootfs: evidence.KindImage}[name]
	}
	if kind == "" {
		return err
	}
	head := r.head(kind, key)
	head.Verdict, head.Cause, head.Message, head.Fix = evidence.Failed, e.Cause, clip(err.Error()), e.Fix
	if e.Outcome == event.Cancelled {
		head.Verdict = evidence.Cancelled
	}
	if _, kerr := r.keep(context.WithoutCancel(ctx), subject, head, head); kerr != nil {
		return errors.Join(err, kerr)
	}
	return err
}

// restate says anew that a pass stands, where something else was recorded
// since: a failure, or a pass of other inputs that were taken back. The status
// is about the newest documents, and would go on showing that.
func (r *run) restate(ctx context.Context, kind evidence.Kind) error {
	stands, ok := r.records.of(kind)
	if !ok || r.records.newestIs(stands) {
		return nil
	}
	for _, d := range r.records.siblings(stands) {
		head := r.passed(kind, d.Head.InputKey)
		head.Inputs = d.Head.Inputs
		head, predicate, err := d.Restate(head)
		if err == nil {
			_, err = r.keep(ctx, d.Subject(), head, predicate)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 2000 {
		return s[:2000] + "…"
	}
	return s
}

// head is the head of a document of this build.
func (r *run) head(kind evidence.Kind, key string) evidence.Head {
	return evidence.Head{APIVersion: "ingot/v1", Kind: kind, Target: r.recipe.Name, Build: r.folder.ID, At: time.Now().UTC(), InputKey: key, Tool: "ingot " + r.Version}
}

// keep seals a document, adds it to the ledger and says so.
func (r *run) keep(ctx context.Context, s evidence.Subject, head evidence.Head, predicate any) (evidence.Document, error) {
	if r.scratch != "" {
		return evidence.Document{}, nil // a check says nothing about the outputs that stand
	}
	d, err := evidence.Seal(ctx, r.Signer, s, head, predicate)
	if err != nil {
		return d, err
	}
	if d, err = r.folder.Add(d); err != nil {
		return d, err
	}
	r.records.add(d)
	r.emit(event.Event{Kind: event.EvidenceMade, Evidence: d.ID, Msg: string(head.Verdict)})
	return d, nil
}

// passedFor is the head of a pass that names the step's inputs.
func (r *run) passedFor(kind evidence.Kind, in Inputs) evidence.Head {
	h := r.passed(kind, in.Key())
	h.Inputs = in
	return h
}

func (r *run) passed(kind evidence.Kind, key string) evidence.Head {
	h := r.head(kind, key)
	h.Verdict = evidence.Passed
	return h
}
