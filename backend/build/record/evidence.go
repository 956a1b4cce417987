package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
)

// Evidenced reports whether the target's documents have a signed pass with this key;
// later steps refer to the newest one. For a kernel, a pass of another target of this
// home for the same inputs counts too. A step without a kind of evidence always counts
// as evidenced.
func (b *Build) Evidenced(kind evidence.Kind, key string) bool {
	return kind == "" || b.Documents.Choose(kind, key) || kind == evidence.KindKernel && b.adoptKernel(key)
}

// adoptKernel signs the document of another target's kernel of the same inputs again,
// for this target.
func (b *Build) adoptKernel(key string) bool {
	ctx := context.Background()
	names, err := b.home.Ledger.Targets()
	if err != nil {
		return false
	}
	for _, n := range names {
		docs, err := b.home.Evidence(ctx, n)
		if err != nil {
			continue
		}
		for _, d := range docs {
			var k evidence.Kernel
			if d.Head.Kind != evidence.KindKernel || d.Head.InputKey != key || d.Trust != evidence.Signed || d.Decode(&k) != nil {
				continue
			}
			if b.Mute {
				b.Documents.Add(d)
				return true
			}
			k.Head = b.PassedFor(evidence.KindKernel, d.Head.Inputs)
			if _, err := b.Keep(ctx, d.Subject(), k.Head, k); err == nil {
				return true
			}
		}
	}
	return false
}

// StepFailed records the failure of a step in journal and ledger and returns it with
// the step's name. There are no bytes yet: the document's subject is the step's inputs.
// Without a kind it is recorded only in the journal.
func (b *Build) StepFailed(ctx context.Context, step, key string, kind evidence.Kind, err error) error {
	return b.FailedAbout(ctx, step, key, kind, evidence.Subject{Name: "inputs of " + step, Digest: map[string]string{"sha256": key}}, err)
}

// StoppedError is the cause of a context that ended because another step of the same
// build failed. By is that step; "" if none could start, as after a failed download.
type StoppedError struct{ By string }

func (e *StoppedError) Error() string {
	if e.By == "" {
		return "stopped, because the next step could not begin"
	}
	return "stopped, because the " + e.By + " step failed"
}

// Ended returns the error of work whose context ended before it: the error of a program
// that was killed for it, of a machine that went away or of a guest that did not answer
// says nothing about the work. A work that failed by itself keeps its error.
func Ended(ctx context.Context, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", context.Canceled, err)
}

// FailedAbout is StepFailed for a step about existing bytes. A step that was stopped by
// the failure of another has not failed: the journal records it as cancelled, the
// ledger does not.
func (b *Build) FailedAbout(ctx context.Context, step, key string, kind evidence.Kind, subject evidence.Subject, err error) error {
	var stopped *StoppedError
	if errors.As(context.Cause(ctx), &stopped) {
		b.Emit(event.Event{Kind: event.StepFinished, Step: step, Outcome: event.Cancelled, Msg: stopped.Error()})
		return fmt.Errorf("%s step: %w", step, err)
	}
	err = fmt.Errorf("%s step: %w", step, Ended(ctx, err))
	e := b.Failure(event.StepFinished, step, err)
	b.Emit(e)
	if kind == "" {
		return err
	}
	head := b.Head(kind, key)
	head.Verdict, head.Cause, head.Message, head.Fix = evidence.Failed, e.Cause, clip(err.Error()), e.Fix
	if e.Outcome == event.Cancelled {
		head.Verdict = evidence.Cancelled
	}
	if _, kerr := b.Keep(context.WithoutCancel(ctx), subject, head, head); kerr != nil {
		return errors.Join(err, kerr)
	}
	return err
}

// Restate records the earlier pass of a kind again if a newer document of another
// verdict or other inputs exists. The status uses the newest document, which then is
// about the current outputs.
func (b *Build) Restate(ctx context.Context, kind evidence.Kind) error {
	stands, ok := b.Documents.Of(kind)
	if !ok || b.Documents.NewestIs(stands) {
		return nil
	}
	for _, d := range b.Documents.siblings(stands) {
		head := b.Passed(kind, d.Head.InputKey)
		head.Inputs = d.Head.Inputs
		head, predicate, err := d.Restate(head)
		if err == nil {
			_, err = b.Keep(ctx, d.Subject(), head, predicate)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// messageLimit bounds the text of a failure in a document, in bytes.
const messageLimit = 2000

func clip(s string) string {
	if len(s) > messageLimit {
		return s[:messageLimit] + "…"
	}
	return s
}

// Head returns the head of a document of this build.
func (b *Build) Head(kind evidence.Kind, key string) evidence.Head {
	return evidence.Head{APIVersion: "ingot/v1", Kind: kind, Target: b.Target, Build: b.Folder.ID, At: time.Now().UTC(), InputKey: key, Tool: "ingot " + b.home.Version}
}

// Keep signs a document, adds it to the ledger and writes an event to the journal. A
// Mute build keeps nothing and returns a zero document.
func (b *Build) Keep(ctx context.Context, s evidence.Subject, head evidence.Head, predicate any) (evidence.Document, error) {
	if b.Mute {
		return evidence.Document{}, nil
	}
	d, err := b.Folder.Record(ctx, b.home.Author(), s, head, predicate)
	if err != nil {
		return d, err
	}
	b.Documents.Add(d)
	b.Emit(event.Event{Kind: event.EvidenceMade, Evidence: d.ID, Msg: string(head.Verdict)})
	return d, nil
}

// Passed returns the head of a pass.
func (b *Build) Passed(kind evidence.Kind, key string) evidence.Head {
	h := b.Head(kind, key)
	h.Verdict = evidence.Passed
	return h
}

// PassedFor returns the head of a pass with the step's inputs.
func (b *Build) PassedFor(kind evidence.Kind, in Inputs) evidence.Head {
	h := b.Passed(kind, in.Key())
	h.Inputs = in
	return h
}

// Why describes the reason for which a step runs: the inputs that changed since the
// newest signed pass of its kind, or what is missing if none changed.
func (b *Build) Why(kind evidence.Kind, in Inputs) string {
	pass, _ := b.Documents.Pass(kind, func(d evidence.Document) bool { return d.Head.Inputs != nil })
	last := Inputs(pass.Head.Inputs)
	switch {
	case kind == "":
		return "no output of these inputs is in the cache"
	case last == nil:
		return "there is no signed pass yet"
	case last.Key() == in.Key():
		return "no input changed, but an output file is missing or was changed"
	}
	return in.ChangedSince(last)
}
