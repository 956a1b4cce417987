package vm

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/guest"
	"ingot/backend/guest/forge"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
)

// Guests are the guests that a user can choose from for builds that name none.
type Guests struct {
	Choices []GuestChoice
	Set     string // the value of guest: in config.yaml; "" if it is not set
	Problem string // why builds cannot run in the default guest; ""
}

// GuestChoice is a guest in which builds can run.
type GuestChoice struct {
	Name    string // as in config.yaml
	Title   string // for a person
	Default bool   // builds that name no guest run in it
}

// ListGuests lists the guests that can be the default one: this computer, if it is one,
// the forge VM, those of config.yaml, and the Lima instances that run. The default is
// listed in any case. It starts no process.
func ListGuests(ctx context.Context, b *backend.Backend) (Guests, error) {
	out := Guests{Set: b.Config.Guest}
	standard := b.DefaultGuest()
	add := func(name, title string) {
		if !slices.ContainsFunc(out.Choices, func(c GuestChoice) bool { return c.Name == name }) {
			out.Choices = append(out.Choices, GuestChoice{name, title, name == standard})
		}
	}
	configured := map[string]bool{} // instances that config.yaml has
	for _, c := range b.Config.Guests {
		if isLima(c) {
			configured[cmp.Or(c.Instance, c.Name)] = true
		}
	}
	if !guest.LocalOff() {
		add("local", "This computer")
	}
	if !configured[forge.Name] {
		add(lima.GuestName(forge.Name), forgeTitle)
	}
	for _, c := range b.Config.Guests {
		if c.Name != "" && !refused(c) {
			add(c.Name, titleOf(c))
		}
	}
	instances, err := List(ctx)
	for _, i := range instances {
		if i.Status == Running && !configured[i.Name] {
			add(lima.GuestName(i.Name), "Lima VM "+i.Name+", which is running")
		}
	}
	c, cerr := b.GuestConfig("")
	switch {
	case cerr != nil:
		out.Problem = cerr.Error()
		add(standard, standard)
	case refused(c):
		out.Problem = errNoLocal.Error()
		add(standard, "This computer")
	default:
		add(standard, titleOf(c))
	}
	return out, err
}

const forgeTitle = "The forge VM " + forge.Name + ", made and started when a build needs it"

func isLima(c home.GuestConfig) bool { return c.Kind == (lima.Kind{}).Name() }

// refused reports whether a guest is this computer, and that is none.
func refused(c home.GuestConfig) bool {
	return c.Kind == (guest.LocalKind{}).Name() && guest.LocalOff()
}

// titleOf describes a guest of config.yaml, or a Lima instance that it names.
func titleOf(c home.GuestConfig) string {
	switch {
	case forge.Is(c):
		return forgeTitle
	case isLima(c):
		return "Lima VM " + cmp.Or(c.Instance, c.Name)
	case c.Host != "":
		return c.Name + ": " + c.Host + ", by " + c.Kind
	}
	return c.Name + ": this computer"
}

var errNoLocal = cause.With("guest.no-local", errors.New("commands of builds do not run on this computer itself: choose another guest"))

// SetGuest makes a guest the default one, in config.yaml. It refuses a name that a build
// would refuse.
func SetGuest(b *backend.Backend, name string) error {
	if name == "" {
		return &backend.GuestError{Name: name, File: b.Home.ConfigFile()}
	}
	c, err := b.GuestConfig(name)
	if err != nil {
		return err
	}
	if refused(c) {
		return errNoLocal
	}
	return b.Home.SetGuest(name)
}
