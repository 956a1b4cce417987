package event

import (
	"fmt"
	"os"
	"strings"
)

// startOf reads field 22 of /proc/PID/stat (proc(5)): the start time in clock
// ticks since boot. The command name in field 2 may hold spaces and brackets.
func startOf(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if ok && len(fields) > 0 && (fields[0] == "Z" || fields[0] == "X") {
		return "", fmt.Errorf("process %d has ended", pid) // a zombie
	}
	if !ok || len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	return fields[19], nil
}
