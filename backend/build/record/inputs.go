package record

import (
	"fmt"
	"slices"
	"strings"

	"ingot/backend/family"
)

// Inputs is everything on which the outcome of a step depends: a value for each name,
// long values by their digest. They include the text of the step's scripts and the
// programs that they call. "step" has the name of the step and the version of its Go
// code: raise the version when that code makes other outputs from the same inputs.
type Inputs map[string]string

// Key returns the step's input key: the digest of all names and values, in hexadecimal.
func (in Inputs) Key() string { return Key(in) }

// Key returns the SHA-256 of plain data, in hexadecimal.
func Key(parts ...any) string { return family.Digest(parts...) }

// ChangedSince describes the inputs that differ from older ones.
func (in Inputs) ChangedSince(old Inputs) string {
	var diff []string
	for name, v := range in {
		switch was, ok := old[name]; {
		case !ok:
			diff = append(diff, name+" is new")
		case was != v && len(was) < 40 && len(v) < 40:
			diff = append(diff, fmt.Sprintf("%s changed from %s to %s", name, was, v))
		case was != v:
			diff = append(diff, name+" changed")
		}
	}
	for name := range old {
		if _, ok := in[name]; !ok {
			diff = append(diff, name+" is gone")
		}
	}
	slices.Sort(diff)
	return strings.Join(diff, ", ")
}
