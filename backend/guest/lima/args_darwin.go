package lima

import "golang.org/x/sys/unix"

// processArgs returns the arguments of a process with its program and environment,
// separated by zeros (KERN_PROCARGS2 of sysctl(3)). Those of other users are refused.
func processArgs(pid int) ([]byte, error) { return unix.SysctlRaw("kern.procargs2", pid) }
