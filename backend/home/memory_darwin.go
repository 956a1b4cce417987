package home

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Memory returns this computer's memory in bytes, or 0 if it is unknown.
func Memory() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n
}

// Cores returns the number of processors for long work: an M-series Mac's performance
// cores.
func Cores() int {
	if n, err := unix.SysctlUint32("hw.perflevel0.physicalcpu"); err == nil && n > 0 {
		return int(n)
	}
	return runtime.NumCPU()
}
