package guest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"

	"ingot/backend/home"
)

// Kind is a kind of guest: this host, a machine over ssh, a Lima instance. Package all
// has the table of all kinds. A kind has no state, and its methods are safe for
// concurrent use.
type Kind interface {
	// Name returns the value of guests[].kind in config.yaml.
	Name() string
	// Check checks a configured guest without connecting to it; a mistake is a
	// *FieldError.
	Check(c home.GuestConfig) error
	// Open connects to the guest. It does not start a guest that is not running.
	Open(ctx context.Context, c home.GuestConfig) (Guest, error)
	// Named returns the guest of a name that needs no configuration, such as lima:NAME;
	// ok is false if the name is not of this kind.
	Named(name string) (c home.GuestConfig, ok bool)
}

// FieldError is a mistake in one key of a configured guest.
type FieldError struct{ Field, Msg string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Msg }

// LocalKind is the kind of this host.
type LocalKind struct{}

// Name returns "local".
func (LocalKind) Name() string { return "local" }

// Check returns nil.
func (LocalKind) Check(home.GuestConfig) error { return nil }

// Open returns this host.
func (LocalKind) Open(_ context.Context, c home.GuestConfig) (Guest, error) {
	return &Local{WorkRoot: c.WorkDir}, nil
}

// Named accepts "local" and "".
func (LocalKind) Named(name string) (home.GuestConfig, bool) {
	return home.GuestConfig{Kind: "local"}, name == "" || name == "local"
}

// SSHKind is the kind of a machine over ssh.
type SSHKind struct{}

// Name returns "ssh".
func (SSHKind) Name() string { return "ssh" }

// Check requires a host.
func (SSHKind) Check(c home.GuestConfig) error {
	if c.Host == "" {
		return &FieldError{"host", "is required for kind ssh"}
	}
	return nil
}

// Open logs in. User and port default to this user and 22.
func (SSHKind) Open(ctx context.Context, c home.GuestConfig) (Guest, error) {
	port := c.Port
	if port == 0 {
		port = 22
	}
	name := c.User
	if name == "" {
		u, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("guest %s: %w", c.Name, err)
		}
		name = u.Username
	}
	g, err := DialSSH(ctx, SSHOptions{Name: c.Name, Addr: net.JoinHostPort(c.Host, strconv.Itoa(port)), User: name, KeyFile: c.KeyFile, KnownHostsFile: c.KnownHosts, WorkDir: c.WorkDir})
	if err != nil { // a nil *SSH is not a nil Guest
		return nil, err
	}
	return g, nil
}

// Named accepts no name: a machine needs a configuration.
func (SSHKind) Named(string) (home.GuestConfig, bool) { return home.GuestConfig{}, false }

// ErrUnknownKind reports a kind that does not exist.
var ErrUnknownKind = errors.New("there is no such kind of guest")
