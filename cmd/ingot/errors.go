package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"ingot/backend/api"
)

// Exit codes; docs/cli.md has the same table.
const (
	exitOK        = 0   // done
	exitInternal  = 1   // anything without a code of its own
	exitUsage     = 2   // wrong flag, unknown target, missing file, broken recipe or configuration, stale lock
	exitMissing   = 3   // this computer lacks a tool, firmware or disk space
	exitStep      = 4   // a step of the build, or Packer, failed
	exitUnproven  = 5   // the image does not boot; or `packer doctor` or `packer run` has findings, or Packer made no disk
	exitPublish   = 6   // publishing failed
	exitVerify    = 7   // evidence, digest or signature is invalid; or an image contains data that must not be published
	exitInUse     = 8   // another process uses this home, or builds the target (`--no-wait`); or a running VM uses the disk; or the running owner has another version or environment; or a newer Ingot has written this home
	exitCancelled = 130 // cancelled
)

// usageError is an error in the command line.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

// insideError is the failure of a command in a machine. Ingot exits with its
// code, as ssh does; the command has printed the error itself.
type insideError struct{ code int }

func (e *insideError) Error() string {
	return fmt.Sprintf("the command ended with exit status %d", e.code)
}

// codeOf returns the exit code for an error.
func codeOf(err error) int {
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var inside *insideError
	if errors.As(err, &inside) {
		return inside.code
	}
	var missing *missingError
	if errors.As(err, &missing) {
		return exitMissing
	}
	switch api.ClassOf(err) {
	case api.ClassInput:
		return exitUsage
	case api.ClassMissing:
		return exitMissing
	case api.ClassStep:
		return exitStep
	case api.ClassUnproven:
		return exitUnproven
	case api.ClassPublish:
		return exitPublish
	case api.ClassVerify:
		return exitVerify
	case api.ClassInUse:
		return exitInUse
	case api.ClassCancelled:
		return exitCancelled
	}
	return exitInternal
}

// report prints the error, its cause, and the next step.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "ingot: %s\n", strings.TrimSpace(err.Error()))
	if id, fix := api.Advice(err); id != "" {
		fmt.Fprintf(w, "  cause: %s\n  next:  %s\n", id, fix)
	}
}
