package event

import "os"

// Self returns this process's id and start time. Together they identify the
// process, since process ids are reused.
func Self() (pid int, start string) {
	pid = os.Getpid()
	start, _ = startOf(pid) // without a start time the process is regarded as ended, which is safe
	return pid, start
}

// Ended reports whether the events include the end of the build.
func Ended(events []Event) bool {
	return len(events) > 0 && events[len(events)-1].Kind == BuildFinished
}

// Live reports whether the process that runs the build is running. If several
// processes have run the build, the last one counts.
func Live(events []Event) bool {
	if Ended(events) {
		return false
	}
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Kind == BuildStarted {
			return Alive(events[i].PID, events[i].PIDStart)
		}
	}
	return false
}

// Alive reports whether the process with that id and start time is running.
func Alive(pid int, start string) bool {
	if pid <= 0 || start == "" {
		return false
	}
	now, err := startOf(pid)
	return err == nil && now == start
}
