package backend

import (
	"context"
	"os"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
)

// What a scan found; see package evidence.
type (
	Leaks    = evidence.Leaks
	LeakArea = evidence.LeakArea
	Leak     = evidence.Leak
)

// LeakError says that a file holds what must not be published.
type LeakError = build.LeakError

// Scan looks for secrets and traces in a disk image, qcow2 or raw, without
// mounting it. Findings that block a publish are a *LeakError beside the
// report. progress, which may be nil, gets bytes of the disk.
func Scan(ctx context.Context, file string, progress func(done, total int64)) (*Leaks, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, &FileError{file, cause.With("image.missing", err)}
	}
	leaks, err := build.Scan(ctx, file, progress)
	if err != nil {
		return nil, err
	}
	if leaks.Digest, err = fetch.Digest(file); err != nil {
		return nil, &FileError{file, err}
	}
	if len(leaks.Blocking()) > 0 {
		return leaks, &LeakError{File: file, Leaks: *leaks}
	}
	return leaks, nil
}
