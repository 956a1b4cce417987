// Package build runs a target's line of steps.
//
// kernel → image → export → prove → publish: each step has an input key, the
// digest of all that it depends on, and outputs in a folder named by that key.
// A step is skipped when the ledger holds signed evidence for its key and the
// outputs have the digests that the evidence says; nothing else makes a step
// done. Kernel and root file system are made side by side.
//
// The package wires the rooms below together: it gives guests to image,
// machines to proof, files to publish, and writes what they found as evidence.
// It starts no process itself.
package build

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/publish"
	"ingot/backend/target"
)

// Steps in order. "config" and "guest" come first and are always checked.
const (
	StepConfig  = "config"
	StepGuest   = "guest"
	StepKernel  = "kernel"
	StepRootfs  = "rootfs"
	StepImage   = "image"
	StepExport  = "export"
	StepProve   = "prove"
	StepPublish = "publish"
)

// Steps lists the steps that --until and --force take.
var Steps = []string{StepKernel, StepRootfs, StepImage, StepExport, StepProve, StepPublish}

// Line is everything that builds share. It may be used by several builds at
// once, but not of the same target.
type Line struct {
	Home     home.Home
	Config   home.Config
	Targets  *target.Set
	Ledger   evidence.Ledger
	Digests  *evidence.Digests
	Signer   evidence.Signer
	Keys     evidence.Keys // accepted
	Pack     *cause.Pack
	Bus      *event.Bus
	Log      *slog.Logger
	Children event.Children     // what must be ended if this process is killed
	Version  string             // of Ingot
	Making   *Making            // which outputs are being made; shared by the builds of a process, nil for one alone
	Classify func(error) string // names the class of a failure for the journal; may be nil
	Guest    func(ctx context.Context) (guest.Guest, error)
	Endpoint func(ctx context.Context) (publish.Endpoint, func(), error) // where to publish; the func frees it
	Publish  Publisher
	Workers  evidence.Keys // of a team: whose evidence Receive takes over
	Logged   func()        // called when a step's log has grown; may be nil
}

// Publisher puts a release onto an endpoint; publish.Publish with the signer.
type Publisher func(ctx context.Context, e publish.Endpoint, r publish.Release, o publish.Options) (publish.Receipt, error)

// Options say what one build does.
type Options struct {
	ID       string // of the build; "" makes one
	Target   string
	Until    string   // last step; "" for all
	Force    []string // steps to run although they are done
	Unproven bool     // publish without a passed proof, marked so
	Renew    bool     // renew the lock when a locked input is gone from all mirrors
	Keep     bool     // keep work directories in the guest
	Check    bool     // up to the export; then make the outputs again and compare

	// Again tells whether a failed build will go on later under its id: its
	// journal is left without an end then. May be nil.
	Again func(error) bool
}

// Result is how a build ended.
type Result struct {
	Build string
	Error error // nil when every step asked for passed
}

// OptionError is a bad Options value.
type OptionError struct{ Msg string }

func (e *OptionError) Error() string { return e.Msg }

// Validate reports unknown step names and options that do not go together.
func (o Options) Validate() error {
	for _, s := range append(slices.Clone(o.Force), o.Until) {
		if s != "" && !slices.Contains(Steps, s) {
			return &OptionError{fmt.Sprintf("there is no step %q; the steps are %s", s, strings.Join(Steps, ", "))}
		}
	}
	if !o.Check {
		return nil
	}
	if o.Until != "" {
		return &OptionError{"a check goes up to the export: leave --until out"}
	}
	for _, s := range o.Force {
		if !slices.Contains(rebuildable, s) {
			return &OptionError{fmt.Sprintf("the %s step is no function of its inputs alone; those that can be checked are %s", s, strings.Join(rebuildable, ", "))}
		}
	}
	return nil
}

// run is one build in progress.
type run struct {
	*Line
	opt     Options
	recipe  target.Recipe
	lock    target.Lock
	folder  evidence.Build
	journal *event.Journal
	guest   guest.Guest
	records *records
	inputs  map[string]string // SHA-256 of locked inputs → verified file

	exported output    // of the export step
	arts     artifacts // what it holds
	scratch  string    // folder for the outputs of a check; "" in a build
	rebuild  []string  // steps that the check makes again
}

// Run runs a build to its end and returns its id. The error says why it
// stopped; what was proved until then is in the ledger.
func (l *Line) Run(ctx context.Context, opt Options) (string, error) {
	r, err := l.begin(ctx, opt)
	if err != nil {
		return "", err
	}
	return r.folder.ID, r.end(r.all(ctx))
}

// begin opens the journal of a build and says in it that it was started; end
// must be called.
func (l *Line) begin(ctx context.Context, opt Options) (*run, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	recipe, err := l.Targets.Get(opt.Target)
	if err != nil {
		return nil, err
	}
	r := &run{Line: l, opt: opt, recipe: recipe}
	id := opt.ID
	if id == "" {
		id = NewID(time.Now())
	}
	if r.folder, err = l.Ledger.Build(recipe.Name, id); err != nil {
		return nil, err
	}
	known, err := l.ledger(ctx, recipe.Name)
	if err != nil {
		return nil, err
	}
	r.records = newRecords(known)
	if r.journal, err = event.OpenJournal(r.folder.JournalPath(), recipe.Name, id, l.Bus); err != nil {
		return nil, err
	}
	pid, start := event.Self()
	r.emit(event.Event{Kind: event.BuildStarted, PID: pid, PIDStart: start})
	return r, nil
}

// end writes the build's end and closes what it used; the error is err.
func (r *run) end(err error) error {
	r.finish(err)
	return errors.Join(err, r.Digests.Save(), r.journal.Close())
}

// VersionOf is the version under which a build's artifacts are exported and
// published: the minute of its id, fixed before the build begins, so that one
// that goes on elsewhere cannot make a second version.
func VersionOf(id string) string {
	if len(id) < len("20060102-1504") {
		return id
	}
	return id[:len("20060102-1504")]
}

// NewID makes a build id; ids sort by time.
func NewID(now time.Time) string {
	b := make([]byte, 2)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b)
}

func (l *Line) ledger(ctx context.Context, name string) ([]evidence.Document, error) {
	builds, err := l.Ledger.Builds(name)
	if err != nil {
		return nil, err
	}
	var docs []evidence.Document
	for _, b := range builds {
		d, err := b.Evidence(ctx, l.Keys)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d...)
	}
	return docs, nil
}

// finish writes the build's end into the journal.
func (r *run) finish(err error) {
	e := event.Event{Kind: event.BuildFinished, Outcome: event.Passed}
	if err != nil && r.opt.Again != nil && r.opt.Again(err) {
		r.note("build", "goes on later: %v", err)
		return
	}
	if err != nil {
		e = r.failure(event.BuildFinished, "", err)
	}
	r.emit(e)
}

// End writes the end of a build that no Run will write: it never began, or
// nobody can go on with it. err is why.
func (l *Line) End(name, id string, err error) error {
	bd, berr := l.Ledger.Build(name, id)
	if berr != nil {
		return berr
	}
	j, jerr := event.OpenJournal(bd.JournalPath(), name, id, l.Bus)
	if jerr != nil {
		return jerr
	}
	r := &run{Line: l}
	return errors.Join(j.Add(r.failure(event.BuildFinished, "", err)), j.Close())
}

// failure is the event of a failed or cancelled step or build.
func (r *run) failure(kind event.Kind, step string, err error) event.Event {
	e := event.Event{Kind: kind, Step: step, Outcome: event.Failed, Msg: err.Error(), Cause: CauseOf(err)}
	if errors.Is(err, context.Canceled) {
		e.Outcome, e.Cause = event.Cancelled, "evidence.cancelled"
	}
	if f, ok := r.Pack.Describe(e.Cause); ok {
		e.Fix = f.Fix
	}
	if r.Classify != nil && kind == event.BuildFinished {
		e.Class = r.Classify(err)
	}
	return e
}

// CanPass tells whether the failure's cause is one that passes by itself: the
// same build may succeed in a while.
func CanPass(err error) bool {
	switch CauseOf(err) {
	case "fetch.unreachable", "publish.unreachable", "guest.unreachable", "guest.lost":
		return true
	}
	return false
}

func (r *run) emit(e event.Event) {
	if err := r.journal.Add(e); err != nil {
		r.Log.Error("journal", "build", r.folder.ID, "err", err)
	}
}

func (r *run) note(step, format string, args ...any) {
	r.emit(event.Event{Kind: event.Note, Step: step, Msg: fmt.Sprintf(format, args...)})
}

// progress returns a function that reports a step's progress with an ETA, at
// most a few times a second. It may be called from several goroutines, as
// downloads do.
func (r *run) progress(step string) func(done, total int64) {
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
		r.emit(e)
	}
}

// wants tells whether the build goes as far as the step.
func (r *run) wants(step string) bool {
	if r.opt.Until == "" {
		return true
	}
	return slices.Index(Steps, step) <= slices.Index(Steps, r.opt.Until)
}

func (r *run) forced(step string) bool { return !r.opt.Check && slices.Contains(r.opt.Force, step) }

// CauseOf names the cause of an error of any room.
func CauseOf(err error) string {
	if id := cause.Of(err); id != "" {
		return id
	}
	var named interface{ CauseID() string }
	if errors.As(err, &named) {
		return named.CauseID()
	}
	var (
		stale  *target.StaleLockError
		space  *home.NoSpaceError
		tool   *home.ToolMissingError
		gone   *fetch.GoneError
		digest *fetch.DigestError
		down   *fetch.UnreachableError
		bad    *target.Error
		pub    *publish.Error
	)
	switch {
	case errors.As(err, &pub):
		return pub.Cause
	case errors.As(err, &stale):
		return "config.lock-stale"
	case errors.As(err, &space), errors.Is(err, syscall.ENOSPC):
		return "guest.no-space"
	case errors.As(err, &tool):
		return "guest.tool-missing"
	case errors.As(err, &gone):
		return "fetch.gone"
	case errors.As(err, &digest):
		return "fetch.digest"
	case errors.As(err, &down):
		return "fetch.unreachable"
	case errors.As(err, &bad):
		return "config.invalid"
	}
	return ""
}

// Fragments reads the kernel fragments that a recipe names.
func Fragments(set *target.Set, r target.Recipe) ([]image.Fragment, error) {
	var out []image.Fragment
	for _, name := range r.Kernel.Configs {
		file, data, err := set.Fragment(name)
		if err != nil {
			return nil, cause.With("config.invalid", fmt.Errorf("%s: kernel.configs: %w", r.Origin(), err))
		}
		out = append(out, image.Fragment{File: file, Data: data})
	}
	return out, nil
}
