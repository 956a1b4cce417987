package backend

import (
	"errors"
	"slices"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/publish"
	"ingot/backend/reality"
	"ingot/backend/target"
)

// The plain data types that faces need, under the front door's name.
type (
	Event   = event.Event
	Holder  = home.Holder
	Row     = reality.Row
	Cell    = reality.Cell
	State   = reality.State
	Finding = cause.Finding
	Proof   = evidence.Proof
	Boot    = evidence.Boot
	Phase   = evidence.Phase
	// Document is one document of the ledger; see package evidence.
	Document = evidence.Document
	// File names a file that evidence is about; see package evidence.
	File   = evidence.File
	Config = home.Config
	// Ability is one thing that publishing needs of an endpoint.
	Ability = publish.Ability
)

// States of a cell; see package reality.
const (
	Unknown   = reality.Unknown
	Running   = reality.Running
	Passed    = reality.Passed
	Failed    = reality.Failed
	Cancelled = reality.Cancelled
	Stale     = reality.Stale
)

// Kinds of events; see package event.
const (
	EventBuildQueued   = event.BuildQueued
	EventBuildStarted  = event.BuildStarted
	EventBuildFinished = event.BuildFinished
	EventStepStarted   = event.StepStarted
	EventStepSkipped   = event.StepSkipped
	EventStepFinished  = event.StepFinished
	EventProgress      = event.Progress
	EventNote          = event.Note
	EventEvidence      = event.EvidenceMade
)

// The outcomes of builds and steps, and Outcome itself, for faces.
type Outcome = event.Outcome

// Outcomes; see package event.
const (
	OutcomePassed    = event.Passed
	OutcomeFailed    = event.Failed
	OutcomeCancelled = event.Cancelled
)

// KindProof is the kind of evidence that a face shows in a way of its own.
const KindProof = evidence.KindProof

// Signed tells whether a document is intact and signed by a key that is
// accepted here: only then it makes a cell Passed.
func Signed(d Document) bool { return d.Trust == evidence.Signed }

// Formats are those that an export can be made in.
var Formats = build.Formats

// Steps that a build may stop after or be made to repeat.
var Steps = build.Steps

// Class says what sort of error it is, for exit codes and icons.
type Class int

// Classes of errors.
const (
	ClassOther Class = iota
	ClassInput
	ClassMissing
	ClassStep
	ClassUnproven
	ClassPublish
	ClassVerify
	ClassInUse
	ClassCancelled
)

var classNames = []string{"other", "input", "missing", "step", "unproven", "publish", "verify", "in-use", "cancelled"}

// String is the class's name in JSON.
func (c Class) String() string { return classNames[c] }

func classNamed(name string) Class {
	return Class(max(0, slices.Index(classNames, name)))
}

// ClassOf sorts an error.
func ClassOf(err error) Class {
	var (
		unknown *target.UnknownError
		bad     *target.Error
		stale   *target.StaleLockError
		option  *build.OptionError
		conf    *home.ConfigError
		symbol  *image.SymbolError
		guest   *GuestError
		none    *evidence.NotFoundError
		tool    *home.ToolMissingError
		tools   *build.MissingToolsError
		space   *home.NoSpaceError
		proof   *build.NotProvenError
		pub     *publish.Error
		verify  *VerifyError
		differs *build.NotReproducibleError
		held    *home.HeldError
		nothing *NothingToDoError
		noBuild *NoBuildError
		keyFile *KeyFileError
		file    *FileError
		remote  *RemoteError
		absent  *NoSuchBuildError
		skewed  *SkewError
		newer   *home.NewerSchemaError
		stopped *CancelledError
		ledger  *LedgerError
		cannot  *CannotBuildError
		silent  *NoAnswerError
	)
	if errors.As(err, &remote) {
		return remote.Class
	}
	id := build.CauseOf(err)
	if c, ok := limaClass(id); ok {
		return c
	}
	switch {
	case id == "guest.no-space" || id == "qemu.firmware-missing" && !errors.As(err, &proof):
		return ClassMissing
	case slices.Contains([]string{"team.digest-differs", "team.worker-unknown", "team.result-invalid", "evidence.changed", "evidence.signature-invalid", "evidence.unreadable", "image.leak"}, id):
		return ClassVerify
	case id == "image.in-use" || id == "vm.busy":
		return ClassInUse
	case id == "vm.must-stop" || id == "vm.no-disk":
		return ClassInput
	case id == "image.changed" || id == "vm.gone" || id == "vm.no-drive":
		return ClassOther
	case id == "image.no-backing":
		return ClassInput
	case id == "team.unreachable" || id == "team.credentials" || id == "team.tls":
		return ClassOther
	case id == "guest.no-root" || id == "guest.no-loader":
		return ClassMissing
	case id == "config.invalid" || id == "guest.other-arch" || errors.As(err, &file):
		return ClassInput
	case errors.As(err, &unknown), errors.As(err, &bad), errors.As(err, &stale), errors.As(err, &option), errors.As(err, &conf),
		errors.As(err, &symbol), errors.As(err, &guest), errors.As(err, &none), errors.As(err, &nothing), errors.As(err, &noBuild), errors.As(err, &keyFile), errors.As(err, &absent):
		return ClassInput
	case errors.As(err, &tool), errors.As(err, &tools), errors.As(err, &space), errors.As(err, &cannot):
		return ClassMissing
	case errors.As(err, &proof), errors.As(err, &silent), errors.Is(err, disk.ErrUnreadable), errors.Is(err, disk.ErrTruncated), errors.Is(err, disk.ErrHostile):
		return ClassUnproven
	case errors.As(err, &pub):
		return ClassPublish
	case errors.As(err, &verify), errors.As(err, &differs), errors.As(err, &ledger):
		return ClassVerify
	case errors.As(err, &held), errors.As(err, &skewed), errors.As(err, &newer):
		return ClassInUse
	case errors.As(err, &stopped):
		return ClassCancelled
	case id != "":
		return ClassStep
	}
	return ClassOther
}

// Advice names the cause of an error and what to do about it; empty when
// neither is known or the error's own text says it all.
func Advice(err error) (id, fix string) {
	var remote *RemoteError
	if errors.As(err, &remote) {
		return remote.Cause, remote.Fix
	}
	id = build.CauseOf(err)
	pack, perr := cause.Shipped()
	if id == "" || perr != nil {
		return "", ""
	}
	f, ok := pack.Describe(id)
	if !ok {
		return "", ""
	}
	return id, f.Fix
}

// Validate checks a target's recipe, lock and kernel fragments.
func Validate(b *Backend, name string) error {
	r, err := b.targets.Get(name)
	if err != nil {
		return err
	}
	lock, err := b.targets.Lock(r)
	if err != nil {
		return err
	}
	if err := lock.Check(r); err != nil {
		return err
	}
	frags, err := build.Fragments(b.targets, r)
	if err != nil {
		return err
	}
	_, err = image.CheckFragments(frags)
	return err
}
