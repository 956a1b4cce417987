package desktop

import (
	"errors"

	"ingot/backend/api"
)

// errTranslocated tells what to do about a bundle that the system runs from a copy.
var errTranslocated = errors.New("macOS runs Ingot from a temporary, read-only copy, since it was opened where it was downloaded: quit Ingot, move Ingot.app into Applications with Finder, and open it there; until then it cannot start at login")

// Misplaced returns why a program cannot stay where it runs from, or nil.
func Misplaced(program string) error {
	if api.Translocated(program) {
		return errTranslocated
	}
	return nil
}
