package verify

import (
	"context"
	"os"

	"ingot/backend"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/leak"
)

// Types of a scan's result; see package evidence.
type (
	Leaks    = evidence.Leaks
	LeakArea = evidence.LeakArea
	Leak     = evidence.Leak
)

// LeakError reports that a file holds something that must not be published.
type LeakError = release.LeakError

// Scan searches a disk image, qcow2 or raw, for secrets and traces without mounting it.
// Findings that block a publish are a *LeakError in addition to the report. With digest
// set, the report has the SHA-256 of the file; holes take time too, since they are
// hashed as zeros. progress, which may be nil, gets bytes of the disk, then of the
// file.
func Scan(ctx context.Context, file string, digest bool, progress func(done, total int64)) (*Leaks, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, &backend.FileError{File: file, Err: cause.With("image.missing", err)}
	}
	leaks, err := leak.ScanFile(ctx, file, progress)
	if err != nil {
		return nil, err
	}
	if digest {
		if leaks.Digest, err = fetch.DigestOf(ctx, file, progress); err != nil {
			return nil, &backend.FileError{File: file, Err: err}
		}
	}
	if len(leaks.Blocking()) > 0 {
		return leaks, &LeakError{File: file, Leaks: *leaks}
	}
	return leaks, nil
}
