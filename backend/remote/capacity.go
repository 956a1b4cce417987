package remote

import (
	"runtime"
	"time"

	"ingot/backend/home"
	"ingot/backend/jobs"
)

// Slots returns the number of slots that one build occupies: half of a large
// machine, or all of a small one. A slot is one core with 2 GiB of memory.
func Slots() int {
	if n := max(2, Capacity()/2); n < Capacity() {
		return n
	}
	return Capacity()
}

// Shares divides this machine among builds. slots is the capacity of the
// queue's worker, weight the number of slots that one build occupies. workers
// is the number of builds that run at once, as set in config.yaml; 0 means a
// weight of Slots.
func Shares(workers int) (slots, weight int) { return shares(workers, Capacity(), Slots()) }

func shares(workers, capacity, usual int) (slots, weight int) {
	if workers <= 0 {
		return capacity, usual
	}
	weight = max(1, capacity/workers)
	return workers * weight, weight
}

// Capacity returns the number of slots of this machine.
func Capacity() int {
	cores := runtime.NumCPU()
	if mem := home.Memory(); mem > 0 {
		cores = min(cores, int(mem>>31))
	}
	return max(1, cores)
}

// batteryCheckInterval is how long a reading of the battery is used.
const batteryCheckInterval = 30 * time.Second

// PauseBatchOnLowBattery returns a jobs.Worker.Paused function that pauses the
// batch lane while the battery is low. The function is not safe for concurrent
// use.
func PauseBatchOnLowBattery() func(jobs.Lane) bool {
	var checked time.Time
	var low bool
	return func(l jobs.Lane) bool {
		if l != jobs.Batch {
			return false
		}
		if time.Since(checked) > batteryCheckInterval {
			checked, low = time.Now(), home.ReadBattery().Low()
		}
		return low
	}
}
