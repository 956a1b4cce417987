package home

import "golang.org/x/sys/unix"

// Memory is this computer's memory in bytes; 0 when it cannot be known.
func Memory() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n
}
