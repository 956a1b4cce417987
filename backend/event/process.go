package event

import "os"

// Self is this process's id and start time, which together name it for ever:
// ids are used again, start times are not.
func Self() (pid int, start string) {
	pid = os.Getpid()
	start, _ = startOf(pid) // without it a journal's process counts as gone, which is safe
	return pid, start
}

// Ended tells whether the events are those of a build that has ended.
func Ended(events []Event) bool {
	return len(events) > 0 && events[len(events)-1].Kind == BuildFinished
}

// Live tells whether the process that runs the build still does. A build that
// went on after a crash was begun by several; the last one counts.
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

// Alive tells whether the process with that id and start time still runs.
func Alive(pid int, start string) bool {
	if pid <= 0 || start == "" {
		return false
	}
	now, err := startOf(pid)
	return err == nil && now == start
}
