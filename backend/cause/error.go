package cause

import "errors"

// Error is an error with a known cause.
type Error struct {
	ID  string
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// With gives err a cause. nil stays nil, and an error that has a cause keeps
// it, since the inner cause is more specific.
func With(id string, err error) error {
	var inner *Error
	if err == nil || errors.As(err, &inner) {
		return err
	}
	return &Error{ID: id, Err: err}
}

// Of returns the cause id of err, or "" when none is known.
func Of(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.ID
	}
	return ""
}
