package api

import (
	"fmt"
	"time"

	"ingot/backend/cause"
)

// RemoteError is an error that an owner reported, or the failure of a build.
type RemoteError struct {
	Msg        string
	Class      Class
	Cause, Fix string
}

func (e *RemoteError) Error() string { return e.Msg }

// ErrorClass returns the class that the owner reported.
func (e *RemoteError) ErrorClass() cause.Class { return e.Class }

// CauseID returns the cause id that the owner reported.
func (e *RemoteError) CauseID() string { return e.Cause }

// NoOwnerError reports that no owner is running.
type NoOwnerError struct{ Err error }

func (e *NoOwnerError) Error() string { return "no owner runs: " + e.Err.Error() }

func (e *NoOwnerError) Unwrap() error { return e.Err }

// SilentOwnerError reports an owner that accepts connections and does not answer.
// PID is 0 if it is not known.
type SilentOwnerError struct {
	PID   int
	After time.Duration
}

func (e *SilentOwnerError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("Ingot's owner did not answer for %s: find its process with `ps`, and let it go on with `kill -CONT PID` if it is stopped", e.After)
	}
	return fmt.Sprintf("Ingot's owner (process %d) did not answer for %s: if it is stopped, let it go on with `kill -CONT %d`; if not, end it with `kill -9 %d`, and the next owner goes on with its builds", e.PID, e.After, e.PID, e.PID)
}

// ErrorClass sorts the error; see package cause.
func (*SilentOwnerError) ErrorClass() cause.Class { return cause.InUse }

// CancelledError reports that a build was cancelled.
type CancelledError struct{ Build string }

func (e *CancelledError) Error() string { return "build " + e.Build + " was cancelled" }

// ErrorClass sorts the error; see package cause.
func (*CancelledError) ErrorClass() cause.Class { return cause.Cancelled }

// NoSuchBuildError reports that no build with the id is running or waiting.
type NoSuchBuildError struct{ ID string }

func (e *NoSuchBuildError) Error() string {
	return fmt.Sprintf("no build %s runs or waits: `ingot builds` lists them", e.ID)
}

// ErrorClass sorts the error; see package cause.
func (*NoSuchBuildError) ErrorClass() cause.Class { return cause.Input }

// Problem is an error as an owner sends it to a client.
type Problem struct {
	Error string `json:"error"`
	Class string `json:"class,omitempty"`
	Cause string `json:"cause,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

// ProblemOf returns an error with its class, cause and fix.
func ProblemOf(err error) Problem {
	p := Problem{Error: err.Error(), Class: ClassOf(err).String()}
	p.Cause, p.Fix = Advice(err)
	return p
}

// Err returns the problem as a *RemoteError.
func (p Problem) Err() error {
	return &RemoteError{Msg: p.Error, Class: cause.ClassNamed(p.Class), Cause: p.Cause, Fix: p.Fix}
}

// LeavingError reports that an owner is ending and accepts no more builds.
type LeavingError struct{}

func (*LeavingError) Error() string { return "Ingot's owner is about to end: try again in a moment" }
