package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"ingot/backend/cause"
	"ingot/backend/home"
)

// socketLimit is the longest path of a Unix socket: 104 bytes with the final
// zero on macOS, 108 on Linux (unix(4), unix(7)).
const socketLimit = 103

// OwnerSocket returns the path of the socket on which a home's owner listens.
func OwnerSocket(h home.Home) string { return socketNamed(h, "owner") }

// socketNamed returns the path of a socket of the home: in the data folder, or,
// if that path is too long for a socket, in a folder of this user below /tmp.
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

// Listen creates the socket with mode 0600. It replaces a socket that an
// earlier process left: the caller holds the lock, so no process listens on it.
func Listen(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	if filepath.Dir(dir) == "/tmp" { // another user may have created it
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

// ownFolder returns an error unless dir is a folder that only this user can
// access.
func ownFolder(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	if !info.IsDir() || !ownedByUs(info) || info.Mode().Perm() != 0o700 {
		return fmt.Errorf("owner: %s must be a folder of this user with mode 0700: remove it, or set INGOT_HOME to a shorter path", dir)
	}
	return nil
}

// sameUser accepts only connections from processes of this user and of root.
type sameUser struct{ *net.UnixListener }

// Accept closes connections from other users.
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

// PeerError reports that a process of another user listens on a socket of this home.
type PeerError struct {
	Path string
	UID  int
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("a process of user %d listens on %s, which is a socket of this home: nothing was sent to it. Remove its folder if you can, or set INGOT_HOME to a shorter path", e.UID, e.Path)
}

// ErrorClass sorts the error; see package cause.
func (*PeerError) ErrorClass() cause.Class { return cause.InUse }

// Dial connects to a socket of the home. If the process that listens there is
// neither this user's nor root's, it sends nothing and returns a *PeerError.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	uid, err := peerUID(c.(*net.UnixConn))
	if err == nil && !allowedPeer(uid, os.Getuid()) {
		err = &PeerError{path, uid}
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// peerUID returns the user id of the connected process.
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
