package release

import (
	"fmt"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/evidence"
)

// LeakError reports that a file contains something that must not be published.
type LeakError struct {
	File  string // its name
	Leaks evidence.Leaks
}

// namedLeaks is the number of findings in an error's text.
const namedLeaks = 5

func (e *LeakError) Error() string {
	found := e.Leaks.Blocking()
	var findings []string
	for _, f := range found[:min(namedLeaks, len(found))] {
		findings = append(findings, f.Title+": "+f.Where())
	}
	if n := len(found) - len(findings); n > 0 {
		findings = append(findings, fmt.Sprintf("and %d more", n))
	}
	return fmt.Sprintf("%s must not be published: %s", e.File, strings.Join(findings, "; "))
}

// CauseID returns the cause.
func (e *LeakError) CauseID() string { return "image.leak" }

// refuseLeaks returns an error for an artifact whose scan has blocking findings, or
// that was not scanned. With allow, a file system that could not be read is accepted;
// unscanned reports that there is one.
func refuseLeaks(d evidence.Document, allow bool) (unscanned bool, err error) {
	var a evidence.Artifact
	if err := d.Decode(&a); err != nil {
		return false, err
	}
	if a.Leaks == nil {
		return false, cause.With("image.leak", fmt.Errorf("%s was not scanned for secrets: run `ingot build %s --force export`", a.Name, d.Head.Target))
	}
	if unscanned = a.Leaks.OnlyUnread(); unscanned && allow {
		return true, nil
	}
	if len(a.Leaks.Blocking()) > 0 {
		return false, &LeakError{a.Name, *a.Leaks}
	}
	return false, nil
}
