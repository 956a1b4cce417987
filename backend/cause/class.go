package cause

import (
	"errors"
	"slices"
	"sync"
	"syscall"
)

// Class is the class of an error. It determines exit codes and icons.
type Class int

// Classes of errors.
const (
	Other     Class = iota // none of the others
	Input                  // what the user gave: an option, a file, a recipe, the configuration
	Missing                // a program, a file of this computer or disk space is missing
	Step                   // a step of a build
	Unproven               // an image does not boot
	Publish                // the endpoint of a publish
	Verify                 // bytes, signatures or records do not match
	InUse                  // another process or machine holds what is needed
	Cancelled              // by the user
)

var classNames = []string{"other", "input", "missing", "step", "unproven", "publish", "verify", "in-use", "cancelled"}

// String returns the class's name in JSON and in the rule pack.
func (c Class) String() string { return classNames[c] }

// ClassNamed returns the class with the name, or Other.
func ClassNamed(name string) Class {
	return Class(max(0, slices.Index(classNames, name)))
}

// Sentinel is an error value for errors.Is that has a class and no cause.
type Sentinel struct {
	Msg   string
	Class Class
}

func (e *Sentinel) Error() string     { return e.Msg }
func (e *Sentinel) ErrorClass() Class { return e.Class }

// ClassOf returns the class of an error: that of the outermost error in its
// chain that has an ErrorClass method, or a cause whose rule has a class. An
// error with a cause but without a class is Step.
func ClassOf(err error) Class {
	if c, ok := classIn(err); ok {
		return c
	}
	if IDOf(err) != "" {
		return Step
	}
	return Other
}

// classIn searches a tree of errors depth first, starting at the outermost.
func classIn(err error) (Class, bool) {
	if err == nil {
		return Other, false
	}
	if c, ok := err.(interface{ ErrorClass() Class }); ok { //nolint:errorlint // one error of the chain
		return c.ErrorClass(), true
	}
	if c, ok := rulesClasses()[ownID(err)]; ok {
		return c, true
	}
	switch e := err.(type) { //nolint:errorlint // one error of the chain
	case interface{ Unwrap() error }:
		return classIn(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, in := range e.Unwrap() {
			if c, ok := classIn(in); ok {
				return c, true
			}
		}
	}
	return Other, false
}

// ownID returns the cause id of the error itself, without those that it wraps.
func ownID(err error) string {
	switch e := err.(type) { //nolint:errorlint // one error of the chain
	case *Error:
		return e.ID
	case interface{ CauseID() string }:
		return e.CauseID()
	case syscall.Errno:
		if full(e) {
			return NoSpace
		}
	}
	return ""
}

// NoSpace is the cause of a full disk of this computer. That of a guest is
// guest.no-space, and that of a storage service publish.no-space.
const NoSpace = "home.no-space"

// full reports whether the error is that of a full disk or an exhausted quota.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// IDOf returns the cause id of an error: one given by With, else that of an
// error with a CauseID method, else NoSpace for a full disk. It returns "" if
// none is known.
func IDOf(err error) string {
	if id := Of(err); id != "" {
		return id
	}
	var named interface{ CauseID() string }
	if errors.As(err, &named) {
		return named.CauseID()
	}
	if full(err) {
		return NoSpace
	}
	return ""
}

// rulesClasses maps the causes of the shipped rules to their classes.
var rulesClasses = sync.OnceValue(func() map[string]Class {
	classes := map[string]Class{}
	p, err := Shipped()
	if err != nil {
		return classes // the error is reported where the rules are used
	}
	for _, r := range p.Rules {
		if _, known := classes[r.ID]; r.Class != "" && !known {
			classes[r.ID] = ClassNamed(r.Class)
		}
	}
	return classes
})
