package lima

import "fmt"

// Error is a failure around Lima whose cause is known by its id
// (resources/causes, lima.*). Msg names what was at work.
type Error struct {
	ID  string
	Msg string
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Msg, e.Err) }

// Unwrap gives the error below.
func (e *Error) Unwrap() error { return e.Err }

// CauseID names the cause.
func (e *Error) CauseID() string { return e.ID }

// CauseID names the cause.
func (e *NotFoundError) CauseID() string { return "lima.no-instance" }

// CauseID names the cause.
func (e *NameError) CauseID() string { return "lima.bad-name" }

// CauseID names the cause.
func (e *StoreError) CauseID() string { return "lima.store" }

func fail(id, instance, format string, args ...any) error {
	return &Error{ID: id, Msg: "Lima instance " + instance, Err: fmt.Errorf(format, args...)}
}
