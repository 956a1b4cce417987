package home

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Memory returns this computer's memory in bytes, or 0 if it is unknown.
func Memory() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// Cores returns the number of processors for long work.
func Cores() int { return runtime.NumCPU() }
