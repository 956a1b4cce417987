package api

import "golang.org/x/sys/unix"

// socketUID returns the user id of the process at the socket's other end
// (LOCAL_PEERCRED, unix(4)).
func socketUID(fd int) (int, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
