package backend

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"ingot/backend/home"
)

// socketLimit is the longest path of a Unix socket: 104 bytes with the final
// zero on macOS, 108 on Linux (unix(4), unix(7)).
const socketLimit = 103

// socketPath is where a home's owner listens.
func socketPath(h home.Home) string { return socketNamed(h, "owner") }

// socketNamed is where one of a home's processes listens: in the data folder,
// or where that path is too long, in a folder of this user under /tmp.
func socketNamed(h home.Home, name string) string {
	path := filepath.Join(h.Data, name+".sock")
	if len(path) <= socketLimit {
		return path
	}
	sum := sha256.Sum256([]byte(h.Data))
	file := hex.EncodeToString(sum[:8])
	if name != "owner" {
		file += "-" + name
	}
	return filepath.Join("/tmp", fmt.Sprintf("ingot-%d", os.Getuid()), file+".sock")
}

// listen makes the socket, mode 0600, in place of one that an owner left. The
// caller holds the home's lock, so nobody listens on the old one.
func listen(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	if filepath.Dir(dir) == "/tmp" { // anybody could have made it
		if err := ownFolder(dir); err != nil {
			return nil, err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("owner: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("owner: %w", err), l.Close())
	}
	return sameUser{l.(*net.UnixListener)}, nil
}

// ownFolder makes sure that a folder is this user's alone.
func ownFolder(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	if !info.IsDir() || !ownedByUs(info) || info.Mode().Perm() != 0o700 {
		return fmt.Errorf("owner: %s is not a folder of this user alone (mode 0700): remove it, or set INGOT_HOME to a shorter path", dir)
	}
	return nil
}

// sameUser takes connections of this user's processes and root's only.
type sameUser struct{ *net.UnixListener }

// Accept drops connections of others.
func (l sameUser) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c); err == nil && allowedPeer(uid, os.Getuid()) {
			return c, nil
		}
		_ = c.Close()
	}
}

// peerUID asks the kernel who connected.
func peerUID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var uid int
	var uerr error
	if err := raw.Control(func(fd uintptr) { uid, uerr = socketUID(int(fd)) }); err != nil {
		return 0, err
	}
	return uid, uerr
}

func allowedPeer(peer, own int) bool { return peer == own || peer == 0 }
