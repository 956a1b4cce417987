// Package record records what a build does: events in its journal, and signed documents
// in the ledger. From these it determines which steps need not run.
package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
)

// Home is what the records of all builds of a home have in common. It is safe for
// concurrent use.
type Home struct {
	Ledger   evidence.Ledger
	Keys     evidence.Keys // trusted keys
	Signer   evidence.Signer
	Pack     *cause.Pack
	Bus      *event.Bus
	Log      *slog.Logger
	Version  string             // of Ingot
	Classify func(error) string // returns the class of a failure for the journal; may be nil
}

// Author is who writes to the home's ledger.
func (h Home) Author() evidence.Author { return evidence.Author{Signer: h.Signer, Keys: h.Keys} }

// Build is the record of one running build. Its methods are safe for concurrent use.
type Build struct {
	Target    string
	Folder    evidence.Build
	Documents *Documents
	Mute      bool // write events but no documents: a check does not change the evidence of existing outputs
	home      Home
	journal   *event.Journal
}

// Begin opens the journal of a build and records its start. The caller must call End.
func (h Home) Begin(ctx context.Context, target, id string) (*Build, error) {
	folder, err := h.Ledger.Build(target, id)
	if err != nil {
		return nil, err
	}
	b := &Build{Target: target, Folder: folder, home: h}
	if err := b.Reload(ctx); err != nil {
		return nil, err
	}
	if b.journal, err = event.OpenJournal(folder.JournalPath(), target, id, h.Bus); err != nil {
		return nil, err
	}
	if err := folder.Begin(ctx, h.Author()); err != nil {
		return nil, errors.Join(err, b.journal.Close())
	}
	pid, start := event.Self()
	b.Emit(event.Event{Kind: event.BuildStarted, PID: pid, PIDStart: start})
	return b, nil
}

// Look returns a record without a journal, for a build that is only planned.
func (h Home) Look(ctx context.Context, target string) (*Build, error) {
	b := &Build{Target: target, Mute: true, home: h}
	return b, b.Reload(ctx)
}

// Reload reads the target's documents again, in the order in which the status uses
// them, and resets the chosen ones.
func (b *Build) Reload(ctx context.Context) error {
	known, err := b.home.Evidence(ctx, b.Target)
	if err == nil {
		b.Documents = NewDocuments(known)
	}
	return err
}

// Evidence returns every document of all builds of a target, oldest build first.
func (h Home) Evidence(ctx context.Context, target string) ([]evidence.Document, error) {
	past, err := h.Ledger.History(ctx, target, h.Keys)
	if err != nil {
		return nil, err
	}
	return past.Evidence(ctx)
}

// End records the build's end, passed if err is nil, and closes the journal. If later
// is set the build will continue under its id: then the journal gets a note and no end.
// It returns err, joined with the error of closing.
func (b *Build) End(err error, later bool) error {
	switch {
	case err == nil:
		b.Emit(event.Event{Kind: event.BuildFinished, Outcome: event.Passed})
	case later:
		b.Note("build", "will be continued later: %v", err)
	default:
		b.Emit(b.Failure(event.BuildFinished, "", err))
	}
	return errors.Join(err, b.journal.Close())
}

// End records the end of a build without a Build: it did not start, or cannot be
// continued. err is the reason.
func (h Home) End(target, id string, err error) error {
	folder, ferr := h.Ledger.Build(target, id)
	if ferr != nil {
		return ferr
	}
	j, jerr := event.OpenJournal(folder.JournalPath(), target, id, h.Bus)
	if jerr != nil {
		return jerr
	}
	return errors.Join(j.Add(h.failure(event.BuildFinished, "", err)), j.Close())
}

// Failure returns the event of a failed or cancelled step or build.
func (b *Build) Failure(kind event.Kind, step string, err error) event.Event {
	return b.home.failure(kind, step, err)
}

func (h Home) failure(kind event.Kind, step string, err error) event.Event {
	e := event.Event{Kind: kind, Step: step, Outcome: event.Failed, Msg: err.Error(), Cause: cause.IDOf(err)}
	if errors.Is(err, context.Canceled) {
		e.Outcome, e.Cause = event.Cancelled, "evidence.cancelled"
	}
	if f, ok := h.Pack.Describe(e.Cause); ok {
		e.Fix = f.Fix
	}
	if h.Classify != nil && kind == event.BuildFinished {
		e.Class = h.Classify(err)
	}
	return e
}

// Emit writes an event to the journal. If that fails, the error is logged and the build
// continues.
func (b *Build) Emit(e event.Event) {
	if b.journal == nil {
		return // there is no journal; see Look
	}
	if err := b.journal.Add(e); err != nil {
		b.home.Log.Error("journal", "build", b.Folder.ID, "err", err)
	}
}

// Note writes a message about a step to the journal.
func (b *Build) Note(step, format string, args ...any) {
	b.Emit(event.Event{Kind: event.Note, Step: step, Msg: fmt.Sprintf(format, args...)})
}

// Skipped records that a step need not run, and why.
func (b *Build) Skipped(step, msg string) {
	b.Emit(event.Event{Kind: event.StepSkipped, Step: step, Msg: msg})
}

// Progress returns a function that reports a step's progress, in any unit, with the
// remaining time, at most five times a second. The function is safe for concurrent use.
func (b *Build) Progress(step string) func(done, total int64) {
	var (
		mu   sync.Mutex
		rate event.Rate
		last time.Time
	)
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		rate.Observe(done, now)
		if now.Sub(last) < 200*time.Millisecond && done < total {
			return
		}
		last = now
		e := event.Event{Kind: event.Progress, Step: step, Done: done, Total: total}
		if eta, ok := rate.ETA(total); ok {
			e.ETA = int64(eta.Seconds())
		}
		b.Emit(e)
	}
}
