package event

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// startOf asks the kernel (sysctl kern.proc.pid) for a process's start time.
func startOf(pid int) (string, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", err
	}
	const zombie = 5 // SZOMB, sys/proc.h
	if k.Proc.P_stat == zombie {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	t := k.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
