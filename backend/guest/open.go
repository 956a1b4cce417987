package guest

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"

	"ingot/backend/home"
)

// Open opens the guest that a configuration names, if it is this host or a
// machine over ssh. Package lima opens those of kind lima.
func Open(ctx context.Context, c home.GuestConfig) (Guest, error) {
	switch c.Kind {
	case "local", "":
		return &Local{WorkRoot: c.WorkDir}, nil
	case "ssh":
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
		return DialSSH(ctx, SSHOptions{Name: c.Name, Addr: net.JoinHostPort(c.Host, strconv.Itoa(port)), User: name, KeyFile: c.KeyFile, KnownHostsFile: c.KnownHosts, WorkDir: c.WorkDir})
	}
	return nil, fmt.Errorf("guest %s: kind %q is not known; accepted: local, ssh, lima", c.Name, c.Kind)
}
