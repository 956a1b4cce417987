package home

import "golang.org/x/sys/unix"

// Memory returns this computer's memory in bytes, or 0 if it is unknown.
func Memory() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n
}
