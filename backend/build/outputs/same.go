package outputs

import (
	"errors"
	"fmt"
	"slices"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/fetch"
)

// NotReproducibleError describes the first difference between an output and its
// rebuild.
type NotReproducibleError struct{ Step, What string }

func (e *NotReproducibleError) Error() string {
	return fmt.Sprintf("the %s step is not reproducible: made again from the same inputs, its output differs: %s", e.Step, e.What)
}

// ErrorClass returns the class of the error; see package cause.
func (*NotReproducibleError) ErrorClass() cause.Class { return cause.Verify }

// CauseID returns the cause.
func (e *NotReproducibleError) CauseID() string { return "image.not-reproducible" }

// Same compares two outputs of a step, the most informative files first. differ describes
// how two files differ; "" if they do not. renamed says that the files of a and b
// correspond by their order and not by their names. A difference is a
// *NotReproducibleError.
func Same(step string, a, b Output, renamed bool, differ func(a, b string) (string, error)) error {
	names := sortedNames(a.Files)
	for _, telling := range []string{"config", family.TreeFile} {
		if i := slices.Index(names, telling); i > 0 {
			names = slices.Insert(slices.Delete(names, i, i+1), 0, telling)
		}
	}
	others := sortedNames(b.Files)
	for i, name := range names {
		other := name
		if renamed {
			other = others[min(i, len(others)-1)]
		}
		if b.Files[other] == a.Files[name] {
			continue
		}
		what, err := differ(a.File(name), b.File(other))
		if err != nil {
			return err
		}
		if what == "" { // the recorded digest is not that of the file
			sum, err := fetch.Digest(a.File(name))
			return errors.Join(fmt.Errorf("%s: file %s, record %s", a.File(name), sum, a.Files[name]), err)
		}
		return &NotReproducibleError{step, what}
	}
	return nil
}

func sortedNames(files map[string]string) []string {
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
