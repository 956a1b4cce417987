package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"ingot/backend"
)

// Exit codes; docs/cli.md has the same table, word for word.
const (
	exitOK        = 0   // done
	exitInternal  = 1   // anything without a code of its own
	exitUsage     = 2   // wrong flag, unknown target, missing file, broken recipe or configuration, stale lock
	exitMissing   = 3   // this computer lacks a tool, firmware or disk space
	exitStep      = 4   // a step of the build failed
	exitUnproven  = 5   // the image does not boot
	exitPublish   = 6   // publishing failed
	exitVerify    = 7   // evidence, digest or signature does not fit; or an image holds what must not be given away
	exitInUse     = 8   // another process uses this home, or builds the target (`--no-wait`); or a running VM has the disk; or the owner at work is of another version or environment; or a newer Ingot has written this home
	exitCancelled = 130 // cancelled
)

// usageError is a wrong call.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

// insideError is the end of a command that ran in a machine: its code is ours,
// as with ssh, and it has said itself what was wrong.
type insideError struct{ code int }

func (e *insideError) Error() string {
	return fmt.Sprintf("the command ended with exit status %d", e.code)
}

// codeOf is the one place where errors become exit codes.
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
	switch backend.ClassOf(err) {
	case backend.ClassInput:
		return exitUsage
	case backend.ClassMissing:
		return exitMissing
	case backend.ClassStep:
		return exitStep
	case backend.ClassUnproven:
		return exitUnproven
	case backend.ClassPublish:
		return exitPublish
	case backend.ClassVerify:
		return exitVerify
	case backend.ClassInUse:
		return exitInUse
	case backend.ClassCancelled:
		return exitCancelled
	}
	return exitInternal
}

// report prints what happened, its cause, and what to do next.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "ingot: %s\n", strings.TrimSpace(err.Error()))
	if id, fix := backend.Advice(err); id != "" {
		fmt.Fprintf(w, "  cause: %s\n  next:  %s\n", id, fix)
	}
}
