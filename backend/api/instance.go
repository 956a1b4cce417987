package api

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ingot/backend/home"
)

// Instance is the lock and the socket by which the processes of one role (such
// as the menu or the window) agree that only one of them runs per home. The
// others send their requests to that one over its socket.
type Instance struct {
	name string
	home home.Home
	lock *os.File
}

// FindInstance returns the instance named name in this user's home, without
// taking its lock. It only creates the home's folders, so it is fast and works
// with a broken configuration.
func FindInstance(name string) (*Instance, error) {
	h, err := home.Open()
	if err != nil {
		return nil, err
	}
	return &Instance{name: name, home: h}, nil
}

// Data returns the home's data folder.
func (p *Instance) Data() string { return p.home.Data }

// Config returns the home's configuration folder.
func (p *Instance) Config() string { return p.home.Config }

// WriteFile replaces a small file atomically, with mode 0600.
func WriteFile(path string, data []byte) error { return home.WriteFileAtomic(path, data, 0o600) }

// Socket returns the path of the instance's socket.
func (p *Instance) Socket() string { return socketNamed(p.home, p.name) }

// TryLock takes the instance's lock (flock(2)) without waiting. It returns
// false if another process has it. The lock ends with Release or with this
// process.
func (p *Instance) TryLock() (bool, error) {
	path := filepath.Join(p.home.Data, p.name+".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("%s: %w", p.name, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if err == unix.EWOULDBLOCK {
			return false, nil
		}
		return false, fmt.Errorf("%s: lock %s: %w", p.name, path, err)
	}
	p.lock = f
	return true, nil
}

// Listen listens on the instance's socket, which accepts connections of this
// user only. The caller must have the lock.
func (p *Instance) Listen() (net.Listener, error) { return Listen(p.Socket()) }

// Release gives the lock back.
func (p *Instance) Release() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.Close()
}

// Program returns the path of the `ingot` program: this one, or the one
// installed beside the app.
func Program() (string, error) { return Executable() }

// Translocated reports whether macOS runs a program from a temporary copy of its bundle:
// it does so from a random folder with a bundle that has the mark of a download
// (com.apple.quarantine), until a person has moved it (App Translocation, Gatekeeper
// since macOS 10.12).
func Translocated(program string) bool { return strings.Contains(program, "/AppTranslocation/") }
