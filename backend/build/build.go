// Package build runs the steps of a target's build.
//
// kernel → image → export → prove → publish: each step has an input key, the digest of
// everything that it depends on, and outputs in a folder named by that key. A step is
// skipped only if the ledger has signed evidence for its key and the outputs have the
// digests of that evidence. Kernel and root file system are built concurrently.
//
// PlanOf returns the steps as data; the engine runs those that are ready. The package
// passes guests to package family, machines to package proof and files to package
// publish, and records their results. It starts no process itself.
package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/target"
)

// The steps in order. "config" and "guest" are first and are always checked.
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

// stepTools makes the disk with the smoke checks' programs; it runs with prove.
const stepTools = "tools"

// Steps lists the steps that --until and --force accept.
var Steps = []string{StepKernel, StepRootfs, StepImage, StepExport, StepProve, StepPublish}

// Line is what builds share. Several builds may use it concurrently, but not of the
// same target.
type Line struct {
	Home     home.Home
	Config   home.Config
	Targets  *target.Set
	Ledger   evidence.Ledger
	Digests  *evidence.Digests
	Signer   evidence.Signer
	Keys     evidence.Keys // accepted keys
	Pack     *cause.Pack
	Bus      *event.Bus
	Log      *slog.Logger
	Children event.Children     // processes and folders to clean up if this process is killed
	Version  string             // of Ingot
	Making   *outputs.Making    // keeps concurrent builds of a process from making the same output twice; may be nil
	Classify func(error) string // returns the class of a failure for the journal; may be nil
	// Guest opens the guest; note gets what takes time, such as the start of a VM.
	Guest func(ctx context.Context, note func(string)) (guest.Guest, error)
	// OwnGuest reports that the guest is Ingot's own: what it lacks is installed there.
	OwnGuest bool
	// Publisher opens the destination of the release: the one that Options.To names,
	// else the configured endpoint or the local store. The returned func closes it.
	Publisher func(ctx context.Context, to string) (publish.Publisher, func(), error)
	Publish   Publish
	Workers   evidence.Keys // keys of the team's workers, whose evidence Receive accepts
	Logged    func()        // called after a step's log has grown; may be nil
}

// Publish publishes a release with the home's signer.
type Publish func(ctx context.Context, p publish.Publisher, r publish.Release, o publish.Options) (publish.Receipt, error)

// Options are the options of one build.
type Options struct {
	ID        string // of the build; "" for a new one
	Target    string
	Until     string   // last step; "" for all
	Force     []string // steps to run even if they are done
	Unproven  bool     // publish without a passed proof; the release is marked
	To        string   // destination of the release, such as dir:/srv/images; "" is the configured endpoint
	Unscanned bool     // publish with a file system that the leak scan cannot read; the release is marked
	Renew     bool     // renew the lock if a locked input is missing from all mirrors
	StopVM    bool     // shut the running VM of the strategy vm down for the copy, and start it again
	Keep      bool     // keep work directories in the guest
	Check     bool     // build up to the export; then make the outputs again and compare

	// Again reports whether a failed build will be continued under its id: then its
	// journal gets no end. It may be nil.
	Again func(error) bool
}

// Result is the result of a build.
type Result struct {
	Build string
	Error error // nil if every requested step passed
}

// OptionError reports an invalid value of Options.
type OptionError struct{ Msg string }

func (e *OptionError) Error() string { return e.Msg }

// ErrorClass returns the class of the error; see package cause.
func (*OptionError) ErrorClass() cause.Class { return cause.Input }

// Validate reports unknown step names and options that exclude each other.
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
		return &OptionError{"a check always ends with the export: omit --until"}
	}
	for _, s := range o.Force {
		if !slices.Contains(rebuildable, s) {
			return &OptionError{fmt.Sprintf("the %s step cannot be checked, because its output depends on more than its inputs; steps that can be checked are %s", s, strings.Join(rebuildable, ", "))}
		}
	}
	return nil
}

// Session is one running build, from Begin to End. One goroutine uses it; the steps
// that it starts run concurrently.
type Session struct {
	*Line
	*record.Build
	Recipe target.Recipe
	Lock   target.Lock     // set by Configure
	Family family.Composer // of the recipe's kernel; nil if it has none

	opt     Options
	guest   *opened
	inputs  map[string]string // SHA-256 of locked inputs → verified file
	arts    release.Artifacts // of the export step
	scratch string            // folder for the outputs of a check; "" in a build
	rebuild []string          // steps that the check makes again
}

// Run runs a build and returns its id. The error is why it stopped; what was proved
// until then is in the ledger.
func (l *Line) Run(ctx context.Context, opt Options) (string, error) {
	s, err := l.Begin(ctx, opt)
	if err != nil {
		return "", err
	}
	return s.Folder.ID, s.End(record.Ended(ctx, s.Run(ctx)))
}

// Begin opens the record of a build and records its start. The caller must call End.
func (l *Line) Begin(ctx context.Context, opt Options) (*Session, error) {
	s, err := l.prepare(opt)
	if err != nil {
		return nil, err
	}
	id := opt.ID
	if id == "" {
		id = record.NewID(time.Now())
	}
	s.Build, err = l.Records().Begin(ctx, s.Recipe.Name, id)
	return s, err
}

// prepare checks the options and finds the recipe with its family.
func (l *Line) prepare(opt Options) (*Session, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	recipe, err := l.Targets.Get(opt.Target)
	if err == nil {
		err = recipe.Buildable()
	}
	var f family.Composer
	if err == nil && recipe.HasKernel() {
		f, err = all.Composer(recipe.KernelRecipe())
	}
	if err == nil && opt.Check && recipe.How() == target.VM {
		err = &OptionError{fmt.Sprintf("target %s cannot be checked: its disk comes from a VM, and not from inputs of which it could be made again", recipe.Name)}
	}
	if err != nil {
		return nil, err
	}
	s := &Session{Line: l, Recipe: recipe, Family: f, opt: opt}
	s.guest = &opened{open: s.openGuest}
	return s, nil
}

// End records the build's end and frees its resources. It returns err, joined with the
// error of closing.
func (s *Session) End(err error) error {
	later := err != nil && s.opt.Again != nil && s.opt.Again(err)
	return errors.Join(s.Build.End(err, later), s.Digests.Save())
}

// Artifacts returns the files of the export step; none before it.
func (s *Session) Artifacts() release.Artifacts { return s.arts }

// Records returns what the records of all builds of the home have in common.
func (l *Line) Records() record.Home {
	return record.Home{Ledger: l.Ledger, Keys: l.Keys, Signer: l.Signer, Pack: l.Pack, Bus: l.Bus, Log: l.Log, Version: l.Version, Classify: l.Classify}
}

// CanPass reports whether the failure's cause is temporary: the same build may succeed
// later.
func CanPass(err error) bool {
	switch cause.IDOf(err) {
	case "fetch.unreachable", "publish.unreachable", "guest.unreachable", "guest.lost":
		return true
	}
	return false
}

// Wants reports whether the build includes the step.
func (s *Session) Wants(step string) bool {
	if s.opt.Until == "" {
		return true
	}
	return slices.Index(Steps, step) <= slices.Index(Steps, s.opt.Until)
}

func (s *Session) forced(step string) bool { return !s.opt.Check && slices.Contains(s.opt.Force, step) }

// HasLog reports whether the step writes a log.
func HasLog(step string) bool {
	return slices.Contains([]string{StepKernel, StepRootfs, StepImage, stepTools}, step)
}

// WorkerLog returns the name of a worker's log in the build's folder.
func WorkerLog(step, worker string) string { return step + "." + worker + ".log" }

// KeysNow returns the keys of a recipe's steps with the current lock and fragments.
func (l *Line) KeysNow(r target.Recipe) (Keys, error) {
	lock, err := l.Targets.Lock(r)
	if err != nil {
		return Keys{}, err
	}
	frags, err := Fragments(l.Targets, r)
	if err != nil {
		return Keys{}, err
	}
	return KeysOf(r, lock, frags)
}

// Fragments reads the kernel fragments that a recipe names.
func Fragments(set *target.Set, r target.Recipe) ([]family.Fragment, error) {
	var out []family.Fragment
	for _, name := range r.KernelRecipe().Kernel.Configs {
		file, data, err := set.Fragment(name)
		if err != nil {
			return nil, cause.With("config.invalid", fmt.Errorf("%s: kernel.configs: %w", r.Origin(), err))
		}
		out = append(out, family.Fragment{File: file, Data: data})
	}
	return out, nil
}
