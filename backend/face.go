package backend

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ingot/backend/home"
)

// Place is the one place of a face in a home: of several processes that want
// it, one gets it, and the others reach that one over its socket.
type Place struct {
	name string
	home home.Home
	lock *os.File
}

// FindPlace finds the place of the face called name in this user's home. It
// opens nothing but the home's folders, so that a face is quickly there and
// also where the home's configuration is broken.
func FindPlace(name string) (*Place, error) {
	h, err := home.Open()
	if err != nil {
		return nil, err
	}
	return &Place{name: name, home: h}, nil
}

// Data is the home's data folder.
func (p *Place) Data() string { return p.home.Data }

// Config is the home's configuration folder.
func (p *Place) Config() string { return p.home.Config }

// WriteFile writes a small file of a face, so that a crash leaves the old one or
// the new one.
func WriteFile(path string, data []byte) error { return home.WriteFileAtomic(path, data, 0o600) }

// Socket is the path of the place's socket.
func (p *Place) Socket() string { return socketNamed(p.home, p.name) }

// Take takes the place until Leave or the end of this process, however that
// comes (flock(2)). It tells false when another process has it.
func (p *Place) Take() (bool, error) {
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

// Listen listens on the place's socket, for processes of this user only. The
// place must have been taken.
func (p *Place) Listen() (net.Listener, error) { return listen(p.Socket()) }

// Leave gives the place up.
func (p *Place) Leave() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.Close()
}

// Program is the path of `ingot`: this program, or the one beside a face.
func Program() (string, error) { return executable() }
