package backend

import (
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend/cause"
	"ingot/backend/guest/lima"
)

// NothingToDoError reports that a target lacks what an action needs.
type NothingToDoError struct{ Msg string }

func (e *NothingToDoError) Error() string { return e.Msg }

// ErrorClass sorts the error; see package cause.
func (*NothingToDoError) ErrorClass() cause.Class { return cause.Input }

// FileError reports a file, named by the caller, that cannot be read or
// written.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// ErrorClass sorts the error; see package cause.
func (*FileError) ErrorClass() cause.Class { return cause.Input }

func (e *FileError) Unwrap() error { return e.Err }

// CheckOutput checks a file name before work is done to write the file: the
// folder must exist, and must not belong to one of the user's Lima instances,
// whose files must not be overwritten.
func CheckOutput(file string) error {
	dir := filepath.Dir(file)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", dir)
	}
	if err != nil {
		return &FileError{file, err}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return &FileError{file, err}
	}
	store, err := lima.Store{}.Root()
	if err != nil {
		return nil // there are no Lima instances
	}
	if in, err := filepath.Rel(store, real); err == nil && filepath.IsLocal(in) {
		return &FileError{file, fmt.Errorf("it is in %s, where Lima stores its instances: choose a file elsewhere", store)}
	}
	return nil
}

// NoBuildError reports that a target has no such build.
type NoBuildError struct{ Target, Build string }

func (e *NoBuildError) Error() string {
	if e.Build == "" {
		return fmt.Sprintf("%s has not been built yet: `ingot build %s`", e.Target, e.Target)
	}
	return fmt.Sprintf("%s has no build %s: its builds are in `ingot home --data`/builds/%s", e.Target, e.Build, e.Target)
}

// ErrorClass sorts the error; see package cause.
func (*NoBuildError) ErrorClass() cause.Class { return cause.Input }

// VerifyError reports a failed verification.
type VerifyError struct{ Cause, Msg string }

func (e *VerifyError) Error() string { return e.Msg }

// ErrorClass sorts the error; see package cause.
func (*VerifyError) ErrorClass() cause.Class { return cause.Verify }

// CauseID returns the cause id.
func (e *VerifyError) CauseID() string { return e.Cause }
