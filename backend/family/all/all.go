// Package all is the table of all families. A new family needs a folder below family/
// and a line here.
package all

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/family/debian"
	"ingot/backend/family/linux"
	"ingot/backend/target"
)

// Families are all families. The table is constant.
var Families = []family.Family{
	debian.Family{},
}

// Systems are the running systems that can be changed without a recipe.
var Systems = []family.System{
	linux.System{},
}

// UnknownError reports a name that is not in the tables.
type UnknownError struct {
	Key, Name string // "os", "plan9"
	Accepted  []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s %q is not known; accepted: %s", e.Key, e.Name, strings.Join(e.Accepted, ", "))
}

// CauseID returns the cause.
func (*UnknownError) CauseID() string { return "config.invalid" }

// ErrorClass returns the class of the error; see package cause.
func (*UnknownError) ErrorClass() cause.Class { return cause.Input }

// Of returns the family of a recipe, by its os, or an *UnknownError. Buildable recipes
// of a target.Set have a family.
func Of(r target.Recipe) (family.Family, error) { return of[family.Family](r) }

// Composer returns the family of a recipe, by its os, if it composes disks; otherwise
// an *UnknownError. Buildable recipes of a target.Set have one.
func Composer(r target.Recipe) (family.Composer, error) { return of[family.Composer](r) }

// of finds the family of a recipe among those that implement F.
func of[F family.Family](r target.Recipe) (none F, err error) {
	unknown := &UnknownError{Key: "os", Name: r.OS}
	for _, one := range Families {
		f, ok := one.(F)
		if !ok {
			continue
		}
		if slices.Contains(f.Systems(), r.OS) {
			return f, nil
		}
		unknown.Accepted = append(unknown.Accepted, f.Systems()...)
	}
	return none, unknown
}

// Check returns the mistakes of a composed recipe: that no family composes its system,
// or those that its family finds. It is the target.FamilyCheck of target.Load.
func Check(r target.Recipe) []target.Problem {
	f, err := Composer(r)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return target.OneOf("$.os", "os", r.OS, unknown.Accepted)
	}
	return f.Check(r)
}

// Named returns the family of a name, or an *UnknownError.
func Named(name string) (family.Family, error) {
	unknown := &UnknownError{Key: "family", Name: name}
	for _, f := range Families {
		if f.Name() == name {
			return f, nil
		}
		unknown.Accepted = append(unknown.Accepted, f.Name())
	}
	return nil, unknown
}

// System returns the family.System of an operating system, ignoring case, or an
// *UnknownError.
func System(os string) (family.System, error) {
	unknown := &UnknownError{Key: "operating system", Name: os}
	for _, s := range Systems {
		if strings.EqualFold(s.OS(), os) {
			return s, nil
		}
		unknown.Accepted = append(unknown.Accepted, s.OS())
	}
	return nil, unknown
}
