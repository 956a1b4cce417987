package lima

import "fmt"

// Error is a failure of Lima with a known cause (resources/causes, lima.*). Msg names
// the object of the operation.
type Error struct {
	ID  string
	Msg string
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Msg, e.Err) }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// CauseID returns the cause.
func (e *Error) CauseID() string { return e.ID }

// CauseID returns the cause.
func (e *NotFoundError) CauseID() string { return "lima.no-instance" }

// CauseID returns the cause.
func (e *NameError) CauseID() string { return "lima.bad-name" }

// CauseID returns the cause.
func (e *StoreError) CauseID() string { return "lima.store" }

func fail(id, instance, format string, args ...any) error {
	return &Error{ID: id, Msg: "Lima instance " + instance, Err: fmt.Errorf(format, args...)}
}
