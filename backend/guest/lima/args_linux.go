package lima

import (
	"fmt"
	"os"
)

// processArgs returns the arguments of a process, separated by zeros (proc(5)).
func processArgs(pid int) ([]byte, error) { return os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) }
