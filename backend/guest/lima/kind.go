package lima

import (
	"context"
	"fmt"
	"strings"

	"ingot/backend/guest"
	"ingot/backend/home"
)

// Kind is the kind of guests that are Lima instances of the user.
type Kind struct{}

// namePrefix begins the name of a guest that is an instance without an entry in
// config.yaml.
const namePrefix = "lima:"

// GuestName returns the name of an instance as a guest of builds: lima:NAME.
func GuestName(instance string) string { return namePrefix + instance }

// Name returns "lima".
func (Kind) Name() string { return "lima" }

// Check requires an instance, or a name that an instance can have.
func (Kind) Check(c home.GuestConfig) error {
	if c.Instance == "" && c.Name == "" {
		return &guest.FieldError{Field: "instance", Msg: "is required for kind lima"}
	}
	return nil
}

// Open logs in to a running instance.
func (Kind) Open(ctx context.Context, c home.GuestConfig) (guest.Guest, error) {
	g, err := OpenConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("guest %s: %w", c.Name, err)
	}
	return g, nil
}

// Named accepts lima:INSTANCE.
func (Kind) Named(name string) (home.GuestConfig, bool) {
	instance, ok := strings.CutPrefix(name, namePrefix)
	return home.GuestConfig{Name: name, Kind: "lima", Instance: instance}, ok && instance != ""
}
