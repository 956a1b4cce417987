package home

import "golang.org/x/sys/unix"

// Memory is this computer's memory in bytes; 0 when it cannot be known.
func Memory() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
