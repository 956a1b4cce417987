package desktop

import (
	"errors"
	"strings"
)

// errTranslocated tells what to do about a bundle that the system runs from a copy.
var errTranslocated = errors.New("macOS runs Ingot from a temporary, read-only copy, since it was opened where it was downloaded: quit Ingot, move Ingot.app into Applications with Finder, and open it there; until then it cannot start at login")

// Misplaced returns why a program cannot stay where it runs from, or nil: macOS runs a
// bundle with the mark of a download (com.apple.quarantine) from a random folder until a
// person has moved it (App Translocation, Gatekeeper since macOS 10.12).
func Misplaced(program string) error {
	if strings.Contains(program, "/AppTranslocation/") {
		return errTranslocated
	}
	return nil
}
