// Package delivery hands a build from one computer to another: Work is the worker's
// side, which builds and collects the results; Receive is the submitter's side, which
// accepts only signed evidence and publishes.
package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ingot/backend/build"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/team"
)

// Delivery is what a team's worker has stored of a build. Only signed documents are
// trusted, by a key of Line.Workers, and only bytes whose digest such a document names.
type Delivery struct {
	team.Result
	Failed error // the build's error at the worker, nil if it passed
	// Get writes size bytes of the digest to w; other bytes are a
	// *publish.OtherBytesError.
	Get func(ctx context.Context, digest string, size int64, w io.Writer) error
}

// Bounds of what is received besides artifacts, whose sizes are signed.
const (
	maxDocument = 4 << 20
	maxRecord   = 1 << 30
)

// receiver imports a delivery into a build of this home.
type receiver struct {
	*build.Session
	from Delivery
	docs []evidence.Document // verified
	keys build.Keys
	arts release.Artifacts
	in   record.Inputs // of the export
}

// Receive continues a build that ended at a worker: it imports the evidence with its
// files, and publishes. The error is why it stopped.
func Receive(ctx context.Context, l *build.Line, opt build.Options, d Delivery) error {
	s, err := l.Begin(ctx, opt)
	if err != nil {
		return err
	}
	r := &receiver{Session: s, from: d}
	return r.End(r.receive(ctx))
}

func (r *receiver) receive(ctx context.Context) (err error) {
	if !workerID.MatchString(r.from.Worker) {
		return cause.With("team.result-invalid", fmt.Errorf("a delivery of build %s names the worker %.80q, which is not a worker's id", r.Folder.ID, r.from.Worker))
	}
	if r.docs, err = r.documents(ctx); err != nil {
		return err
	}
	if err := r.records(ctx); err != nil {
		return err
	}
	if r.from.Failed != nil {
		return errors.Join(r.from.Failed, r.keep(ctx))
	}
	if r.keys, err = r.KeysNow(r.Recipe); err != nil {
		return err
	}
	// artifacts first: a document without its file would be reported as a lost file
	if err := r.artifacts(ctx); err != nil {
		return err
	}
	if err := r.keep(ctx); err != nil {
		return err
	}
	if err := r.Reload(ctx); err != nil {
		return err
	}
	if _, err := r.Configure(ctx); err != nil {
		return err
	}
	if err := r.refer(ctx); err != nil || !r.Wants(build.StepPublish) {
		return err
	}
	return r.Publish(ctx, r.arts)
}

// documents fetches the documents and refuses those that cannot be verified, or are
// about another build.
func (r *receiver) documents(ctx context.Context) ([]evidence.Document, error) {
	var docs []evidence.Document
	for _, p := range r.from.Pieces {
		if p.Kind != team.Document {
			continue
		}
		if p.Size > maxDocument {
			return nil, cause.With("evidence.unreadable", fmt.Errorf("evidence %.80q of worker %s has %d bytes", p.Name, r.from.Worker, p.Size))
		}
		var text bytes.Buffer
		if err := r.from.Get(ctx, p.SHA256, p.Size, &text); err != nil {
			return nil, received("evidence "+p.Name, r.from.Worker, err)
		}
		doc := evidence.Open(ctx, text.Bytes(), r.Line.Workers, p.Name)
		if err := r.believe(doc); err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// received adds the cause to the error of a transfer.
func received(what, worker string, err error) error {
	var other *publish.OtherBytesError
	if errors.As(err, &other) {
		return cause.With("team.digest-differs", fmt.Errorf("%s of worker %s should have SHA-256 %s: %w", what, worker, other.Want, err))
	}
	return fmt.Errorf("%s of worker %s: %w", what, worker, err)
}

func (r *receiver) believe(doc evidence.Document) error {
	switch doc.Trust {
	case evidence.Foreign:
		return cause.With("team.worker-unknown", fmt.Errorf("evidence %s of worker %s: %s", doc.ID, r.from.Worker, doc.Problem))
	case evidence.Tampered:
		return cause.With(doc.ProblemCause(), fmt.Errorf("evidence %.80q of worker %s: %s", doc.ID, r.from.Worker, doc.Problem))
	case evidence.Unsigned:
		if doc.Head.Build != r.Folder.ID { // an unsigned failure is accepted only for this build
			return cause.With("evidence.signature-invalid", fmt.Errorf("evidence %s of worker %s is not signed and belongs to build %.80q", doc.ID, r.from.Worker, doc.Head.Build))
		}
	}
	if doc.Head.Target != r.Recipe.Name || !record.IsID(doc.Head.Build) || doc.Head.Kind == evidence.KindReceipt {
		return cause.With("team.result-invalid", fmt.Errorf("worker %s delivered evidence %s of target %.80q, build %.80q, which it was not asked to build", r.from.Worker, doc.ID, doc.Head.Target, doc.Head.Build))
	}
	return nil
}

// keep adds the documents to the ledger, each to its own build.
func (r *receiver) keep(ctx context.Context) error {
	for _, d := range r.docs {
		folder, err := r.Ledger.Build(d.Head.Target, d.Head.Build)
		if err == nil {
			d, err = folder.Include(ctx, r.Line.Records().Author(), d)
		}
		if err != nil {
			return err
		}
		r.Emit(event.Event{Kind: event.EvidenceMade, Evidence: d.ID, Msg: string(d.Head.Verdict) + " at a worker"})
	}
	return nil
}

// proofFile matches the names that package proof gives to the files of a boot. A name
// in a delivered document is used as a path only if it matches.
var proofFile = regexp.MustCompile(`^logs/(serial-[a-z]+(-[0-9]{6}\.[0-9]{3})?\.log|screen-[a-z]+(-[0-9]{6}\.[0-9]{3})?\.png)$`)

// workerID matches the id of a worker, which is that of its key.
var workerID = regexp.MustCompile(`^[0-9A-F]{16}$`)

// create fetches a file that must not exist yet, or have the same bytes: a delivery
// never replaces a file.
func (r *receiver) create(ctx context.Context, f evidence.File, path string) error {
	if f.Size == 0 {
		return nil
	}
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return r.file(ctx, f, path)
	case err != nil:
		return fmt.Errorf("receive: %w", err)
	}
	if sum, err := r.Digests.Of(path); err != nil || sum != f.SHA256 {
		return cause.With("team.result-invalid", errors.Join(fmt.Errorf("worker %s delivers other bytes for the existing file %s", r.from.Worker, path), err))
	}
	return nil
}

// records fetches the serial logs and screenshots that proofs name, and the steps'
// logs.
func (r *receiver) records(ctx context.Context) error {
	for _, doc := range r.docs {
		bd, err := r.Ledger.Build(doc.Head.Target, doc.Head.Build)
		if err != nil {
			return err
		}
		for _, f := range bootFiles(doc) {
			if !proofFile.MatchString(f.Name) || f.Size > maxRecord {
				return cause.With("team.result-invalid", fmt.Errorf("worker %s: evidence %s names a file %.80q of %d bytes: files of a proof are logs/serial-….log and logs/screen-….png", r.from.Worker, doc.ID, f.Name, f.Size))
			}
			if err := r.create(ctx, f, filepath.Join(bd.Dir, filepath.FromSlash(f.Name))); err != nil {
				return err
			}
		}
	}
	for _, p := range r.from.Pieces {
		step, ok := strings.CutPrefix(strings.TrimSuffix(p.Name, ".log"), "logs/")
		if p.Kind != team.Record || !ok || !build.HasLog(step) || p.Size > maxRecord {
			continue
		}
		name := r.Folder.LogPath(build.WorkerLog(step, r.from.Worker))
		if err := r.file(ctx, evidence.File{Name: p.Name, SHA256: p.SHA256, Size: p.Size}, name); err != nil {
			return err
		}
	}
	return nil
}

// file fetches a file to path, which appears complete or not at all.
func (r *receiver) file(ctx context.Context, f evidence.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	err := home.CreateAtomic(path, 0o600, func(w *os.File) error { return r.from.Get(ctx, f.SHA256, f.Size, w) })
	if err != nil {
		return received(f.Name, r.from.Worker, err)
	}
	return nil
}
