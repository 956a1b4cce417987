package publish

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"ingot/backend/cause"
	"ingot/backend/limit"
)

// Error is a failed publish with its cause id.
type Error struct {
	Cause, Msg, Fix string
	Err             error
}

func (e *Error) Error() string {
	if e.Fix != "" {
		return e.Msg + ": " + e.Fix
	}
	return e.Msg
}

// CauseID returns the cause.
func (e *Error) CauseID() string { return e.Cause }

// ErrorClass returns the class of the error; see package cause.
func (*Error) ErrorClass() cause.Class { return cause.Publish }

func (e *Error) Unwrap() error { return e.Err }

// Classify adds a cause to an error of a store: the one that know returns, else a
// general one. know may be nil. Errors of storage clients must not contain credentials.
func Classify(err error, know func(error) string) error {
	var known *Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	id := ""
	if know != nil {
		id = know(err)
	}
	return &Error{Cause: cmp.Or(id, causeOf(err)), Msg: fmt.Sprintf("publish: %v", err), Err: err}
}

// causeOf returns the causes that errors of any storage can have.
func causeOf(err error) string {
	var unknownCA x509.UnknownAuthorityError
	var badHost x509.HostnameError
	var netErr *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknownCA) || errors.As(err, &badHost):
		return "publish.tls"
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(strings.ToLower(err.Error()), "no space left"):
		return "publish.no-space"
	case errors.As(err, &netErr) || errors.As(err, &dns) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, context.DeadlineExceeded) || timedOut(err):
		return "publish.endpoint-down"
	}
	return "publish.failed"
}

// timedOut reports whether an endpoint accepted a connection and did not answer.
func timedOut(err error) bool {
	var e net.Error
	var odd *limit.AnswerError
	return errors.As(err, &e) && e.Timeout() || errors.As(err, &odd) && odd.Silent
}

// OtherBytesError reports that the content of an object differs from the digest in its
// name. Got is "" if the object does not exist.
type OtherBytesError struct {
	Name      string
	Got, Want string // SHA-256
}

func (e *OtherBytesError) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("the object %s does not exist", e.Name)
	}
	return fmt.Sprintf("the object %s has SHA-256 %s", e.Name, e.Got)
}
