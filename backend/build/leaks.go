package build

import (
	"context"
	"fmt"
	"strings"

	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/leak"
)

// LeakError says that a file holds what must not be given away.
type LeakError struct {
	File  string // its name
	Leaks evidence.Leaks
}

// namedLeaks is how many findings an error's text names.
const namedLeaks = 5

func (e *LeakError) Error() string {
	found := e.Leaks.Blocking()
	var said []string
	for _, f := range found[:min(namedLeaks, len(found))] {
		said = append(said, f.Title+": "+f.Where())
	}
	if n := len(found) - len(said); n > 0 {
		said = append(said, fmt.Sprintf("and %d more", n))
	}
	return fmt.Sprintf("%s must not be published: %s", e.File, strings.Join(said, "; "))
}

// CauseID names the cause.
func (e *LeakError) CauseID() string { return "image.leak" }

// Scan looks for leaks in a disk image: qcow2 or raw, alone. The error's cause
// is that of an image that cannot be read. progress may be nil.
func Scan(ctx context.Context, file string, progress func(done, total int64)) (*evidence.Leaks, error) {
	pack, err := leak.Shipped()
	if err != nil {
		return nil, err
	}
	src, err := disk.Open(file)
	if err != nil {
		return nil, ImageError(err)
	}
	defer src.Close()
	return pack.Scan(ctx, src, progress)
}

// leaksIn is the scan of the disk that is exported; its files' documents hold
// it.
func leaksIn(ctx context.Context, img output) (*evidence.Leaks, error) {
	leaks, err := Scan(ctx, img.file("disk.raw"), nil)
	if err != nil {
		return nil, err
	}
	leaks.Digest = img.Files["disk.raw"]
	return leaks, nil
}

// leakRules is the version of the rules, an input of the export step.
func leakRules() string {
	pack, err := leak.Shipped()
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return pack.ID()
}

// refuseLeaks lets no artifact be published whose scan found what blocks, or
// that was not scanned.
func refuseLeaks(d evidence.Document) error {
	var a evidence.Artifact
	if err := d.Decode(&a); err != nil {
		return err
	}
	if a.Leaks == nil {
		return causeError("image.leak", fmt.Errorf("%s was not searched for secrets: `ingot build %s --force export` does it", a.Name, d.Head.Target))
	}
	if len(a.Leaks.Blocking()) > 0 {
		return &LeakError{a.Name, *a.Leaks}
	}
	return nil
}
