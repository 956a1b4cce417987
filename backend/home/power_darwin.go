package home

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// ReadBattery reads the battery's state from pmset(1).
func ReadBattery() Battery {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/bin/pmset", "-g", "batt").Output()
	if err != nil {
		return Battery{}
	}
	return parsePmset(string(out))
}

// StayAwake prevents idle sleep until release is called or this process ends;
// caffeinate(8) holds the power assertion.
func StayAwake() (release func()) {
	cmd := exec.Command("/usr/bin/caffeinate", "-i", "-w", strconv.Itoa(os.Getpid()))
	if cmd.Start() != nil {
		return func() {} // the computer may go to sleep
	}
	return func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
}
