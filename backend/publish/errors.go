package publish

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7"
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

func (e *Error) Unwrap() error { return e.Err }

// classify gives an error of the storage its cause. Credentials never stand in
// the texts of minio-go's errors.
func classify(err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	id := "publish.failed"
	resp := minio.ToErrorResponse(err)
	var unknownCA x509.UnknownAuthorityError
	var badHost x509.HostnameError
	var netErr *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknownCA) || errors.As(err, &badHost):
		id = "publish.tls"
	case resp.Code == "InvalidAccessKeyId" || resp.Code == "XAdminUserNotFound" || resp.Code == "SignatureDoesNotMatch" || resp.Code == "AccessDenied" || resp.StatusCode == http.StatusForbidden:
		id = "publish.credentials"
	case resp.Code == minio.NoSuchBucket:
		id = "publish.no-bucket"
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(strings.ToLower(err.Error()), "no space left") || resp.StatusCode == http.StatusInsufficientStorage || resp.Code == "QuotaExceeded":
		id = "publish.no-space"
	case errors.As(err, &netErr) || errors.As(err, &dns) || errors.Is(err, syscall.ECONNREFUSED):
		id = "publish.endpoint-down"
	}
	return &Error{Cause: id, Msg: fmt.Sprintf("publish: %v", err), Err: err}
}
