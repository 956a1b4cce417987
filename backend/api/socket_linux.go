package api

import "golang.org/x/sys/unix"

// socketUID returns the user id of the process at the socket's other end
// (SO_PEERCRED, unix(7)).
func socketUID(fd int) (int, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
