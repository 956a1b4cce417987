// Package api defines the protocol between an owner and its clients: the types
// of submissions, events and errors, and the owner's socket. It also gives
// clients the plain data types of lower packages under one name. It imports no
// package that works on an open home.
package api

import (
	"errors"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/reality"
)

// Data types of lower packages that clients use.
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
	// Document is a document of the ledger; see package evidence.
	Document = evidence.Document
	// File names a file that a document is about; see package evidence.
	File   = evidence.File
	Config = home.Config
	// Ability is one operation that publishing needs of an endpoint.
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

// Outcome is how a build or step ended.
type Outcome = event.Outcome

// Outcomes; see package event.
const (
	OutcomePassed    = event.Passed
	OutcomeFailed    = event.Failed
	OutcomeCancelled = event.Cancelled
)

// KindProof is the kind of a document about boots.
const KindProof = evidence.KindProof

// Signed reports whether a document is intact and signed by an accepted key.
// Only such a document makes a cell Passed.
func Signed(d Document) bool { return d.Trust == evidence.Signed }

// Formats are the names of the export formats.
var Formats = disk.FormatNames()

// Steps are the names of a build's steps, in order.
var Steps = build.Steps

// Class is the class of an error, for exit codes and icons; see package cause.
type Class = cause.Class

// Classes of errors.
const (
	ClassOther     = cause.Other
	ClassInput     = cause.Input
	ClassMissing   = cause.Missing
	ClassStep      = cause.Step
	ClassUnproven  = cause.Unproven
	ClassPublish   = cause.Publish
	ClassVerify    = cause.Verify
	ClassInUse     = cause.InUse
	ClassCancelled = cause.Cancelled
)

// CellTitle returns the name of a cell for people.
func CellTitle(name string) string { return reality.CellTitle(name) }

// ClassOf returns the class of an error.
func ClassOf(err error) Class { return cause.ClassOf(err) }

// Advice returns an error's cause id and the fix for it. Both are empty if no
// cause is known.
func Advice(err error) (id, fix string) {
	var remote *RemoteError
	if errors.As(err, &remote) {
		return remote.Cause, remote.Fix
	}
	id = cause.IDOf(err)
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
