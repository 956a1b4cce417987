// Package all is the table of all kinds of guests. A new kind needs a folder below
// guest/ and a line here.
package all

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
)

// Kinds are all kinds of guests, in the order in which names are looked up. The table
// is constant.
var Kinds = []guest.Kind{
	guest.LocalKind{},
	guest.SSHKind{},
	lima.Kind{},
}

// Check checks the guests of a configuration, which was read from file, and returns the
// first mistake as a *home.ConfigError.
func Check(guests []home.GuestConfig, file string) error {
	for i, c := range guests {
		k, err := named(c.Kind)
		if err != nil {
			var names []string
			for _, k := range Kinds {
				names = append(names, k.Name())
			}
			return &home.ConfigError{File: file, Msg: fmt.Sprintf("key guests[%d].kind: %q is not known; accepted: %s", i, c.Kind, strings.Join(names, ", "))}
		}
		var field *guest.FieldError
		switch err := k.Check(c); {
		case errors.As(err, &field):
			return &home.ConfigError{File: file, Msg: fmt.Sprintf("key guests[%d].%s: %s", i, field.Field, field.Msg)}
		case err != nil:
			return &home.ConfigError{File: file, Msg: fmt.Sprintf("key guests[%d]: %v", i, err)}
		}
	}
	return nil
}

// Find returns the guest of a name: a configured one, or else one that needs no
// configuration.
func Find(configured []home.GuestConfig, name string) (home.GuestConfig, bool) {
	for _, c := range configured {
		if c.Name == name && name != "" {
			return c, true
		}
	}
	for _, k := range Kinds {
		if c, ok := k.Named(name); ok {
			return c, true
		}
	}
	return home.GuestConfig{}, false
}

// Open connects to a guest.
func Open(ctx context.Context, c home.GuestConfig) (guest.Guest, error) {
	k, err := named(c.Kind)
	if err != nil {
		return nil, fmt.Errorf("guest %s: kind %q: %w", c.Name, c.Kind, err)
	}
	return k.Open(ctx, c)
}

func named(kind string) (guest.Kind, error) {
	for _, k := range Kinds {
		if k.Name() == kind {
			return k, nil
		}
	}
	return nil, guest.ErrUnknownKind
}
