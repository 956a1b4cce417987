package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/team"
)

// Delivery is what a worker of the team left of a build. Nothing in it is
// believed but what evidence, signed by a key of Line.Workers, says of bytes
// that have the digest it says.
type Delivery struct {
	team.Result
	Failed error // how the build ended there, if it did not pass
	// Get writes size bytes of the digest into w; other bytes are a
	// *publish.OtherBytesError.
	Get func(ctx context.Context, digest string, size int64, w io.Writer) error
}

// Bounds of what is taken over besides artifacts, whose sizes are signed.
const (
	maxDocument = 4 << 20
	maxRecord   = 1 << 30
)

// Receive goes on with a build that a worker ended: it takes over the evidence
// with the files that it is about, and publishes. The error says why it stopped.
func (l *Line) Receive(ctx context.Context, opt Options, d Delivery) error {
	r, err := l.begin(ctx, opt)
	if err != nil {
		return err
	}
	return r.end(r.receive(ctx, d))
}

func (r *run) receive(ctx context.Context, d Delivery) error {
	docs, err := r.takeDocuments(ctx, d)
	if err != nil {
		return err
	}
	if err := r.takeRecords(ctx, d, docs); err != nil {
		return err
	}
	if d.Failed != nil {
		return errors.Join(d.Failed, r.keepForeign(docs))
	}
	if r.lock, err = r.Targets.Lock(r.recipe); err != nil {
		return err
	}
	frags, err := Fragments(r.Targets, r.recipe)
	if err != nil {
		return err
	}
	// the artifacts come before the documents: a document whose file is not there
	// would show as a loss
	t := &taken{run: r, docs: docs, keys: KeysOf(r.recipe, r.lock, frags)}
	if err := t.artifacts(ctx, d); err != nil {
		return err
	}
	if err := r.keepForeign(docs); err != nil {
		return err
	}
	known, err := r.ledger(ctx, r.recipe.Name) // in the order in which a status sees them
	if err != nil {
		return err
	}
	r.records = newRecords(known)
	if _, err := r.configure(ctx); err != nil {
		return err
	}
	if err := t.refer(ctx); err != nil || !r.wants(StepPublish) {
		return err
	}
	return r.publish(ctx, t.arts)
}

var buildID = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$`)

// takeDocuments reads the documents and refuses those that cannot be believed,
// or are about something else.
func (r *run) takeDocuments(ctx context.Context, d Delivery) ([]evidence.Document, error) {
	var docs []evidence.Document
	for _, p := range d.Pieces {
		if p.Kind != team.Document {
			continue
		}
		if p.Size > maxDocument {
			return nil, cause.With("evidence.unreadable", fmt.Errorf("evidence %.80q of worker %s has %d bytes", p.Name, d.Worker, p.Size))
		}
		var text bytes.Buffer
		if err := d.Get(ctx, p.SHA256, p.Size, &text); err != nil {
			return nil, received("evidence "+p.Name, d.Worker, err)
		}
		doc := evidence.Open(ctx, text.Bytes(), r.Workers, p.Name)
		if err := r.believe(d, doc); err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// received names the cause of a failed transfer.
func received(what, worker string, err error) error {
	var other *publish.OtherBytesError
	if errors.As(err, &other) {
		return cause.With("team.digest-differs", fmt.Errorf("%s of worker %s should have SHA-256 %s: %w", what, worker, other.Want, err))
	}
	return fmt.Errorf("%s of worker %s: %w", what, worker, err)
}

func (r *run) believe(d Delivery, doc evidence.Document) error {
	switch doc.Trust {
	case evidence.Foreign:
		return cause.With("team.worker-unknown", fmt.Errorf("evidence %s of worker %s: %s", doc.ID, d.Worker, doc.Problem))
	case evidence.Tampered:
		return cause.With(doc.ProblemCause(), fmt.Errorf("evidence %.80q of worker %s: %s", doc.ID, d.Worker, doc.Problem))
	case evidence.Unsigned:
		if doc.Head.Build != r.folder.ID { // a failure that nobody stands for is this build's own at most
			return cause.With("evidence.signature-invalid", fmt.Errorf("evidence %s of worker %s carries no signature and is of build %.80q", doc.ID, d.Worker, doc.Head.Build))
		}
	}
	if doc.Head.Target != r.recipe.Name || !buildID.MatchString(doc.Head.Build) || doc.Head.Kind == evidence.KindReceipt {
		return cause.With("team.result-invalid", fmt.Errorf("worker %s gave evidence %s of target %.80q, build %.80q: that was not asked for", d.Worker, doc.ID, doc.Head.Target, doc.Head.Build))
	}
	return nil
}

// keepForeign adds the documents to the ledger, each to its own build.
func (r *run) keepForeign(docs []evidence.Document) error {
	for _, d := range docs {
		folder, err := r.Ledger.Build(d.Head.Target, d.Head.Build)
		if err == nil {
			d, err = folder.Add(d)
		}
		if err != nil {
			return err
		}
		r.emit(event.Event{Kind: event.EvidenceMade, Evidence: d.ID, Msg: string(d.Head.Verdict) + " at a worker"})
	}
	return nil
}

// takeRecords fetches the serial logs and screenshots that proofs name, and the
// steps' logs.
func (r *run) takeRecords(ctx context.Context, d Delivery, docs []evidence.Document) error {
	for _, doc := range docs {
		bd, err := r.Ledger.Build(doc.Head.Target, doc.Head.Build)
		if err != nil {
			return err
		}
		for _, f := range bootFiles(doc) {
			if !filepath.IsLocal(filepath.FromSlash(f.Name)) || f.Size > maxRecord {
				return cause.With("team.result-invalid", fmt.Errorf("worker %s: evidence %s names a file %.80q of %d bytes", d.Worker, doc.ID, f.Name, f.Size))
			}
			if f.Size == 0 {
				continue
			}
			if err := takeFile(ctx, d, f, filepath.Join(bd.Dir, filepath.FromSlash(f.Name))); err != nil {
				return err
			}
		}
	}
	for _, p := range d.Pieces {
		step, ok := strings.CutPrefix(strings.TrimSuffix(p.Name, ".log"), "logs/")
		if p.Kind != team.Record || !ok || !HasLog(step) || p.Size > maxRecord {
			continue
		}
		name := r.folder.LogPath(WorkerLog(step, d.Worker))
		if err := takeFile(ctx, d, evidence.File{Name: p.Name, SHA256: p.SHA256, Size: p.Size}, name); err != nil {
			return err
		}
	}
	return nil
}

// HasLog tells whether the step is one that writes a log.
func HasLog(step string) bool {
	return slices.Contains([]string{StepKernel, StepRootfs, StepImage, "tools"}, step)
}

// WorkerLog is the name of a log that a worker wrote, in the build's folder.
func WorkerLog(step, worker string) string { return step + "." + worker + ".log" }

// takeFile fetches a file to path, whole or not at all.
func takeFile(ctx context.Context, d Delivery, f evidence.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	err := home.CreateAtomic(path, 0o600, func(w *os.File) error { return d.Get(ctx, f.SHA256, f.Size, w) })
	if err != nil {
		return received(f.Name, d.Worker, err)
	}
	return nil
}
