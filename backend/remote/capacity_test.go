package remote

import "testing"

// workers: N in config.yaml is the number of builds that run at once: the slots
// hold that many builds, and not one more.
func TestShares(t *testing.T) {
	for workers := 1; workers < 9; workers++ {
		for capacity := 1; capacity < 20; capacity++ {
			slots, weight := shares(workers, capacity, 1)
			if slots/weight != workers || weight < 1 {
				t.Errorf("%d workers on %d slots: %d builds of %d run at once", workers, slots, slots/weight, weight)
			}
		}
	}
	if slots, weight := shares(0, 8, 4); slots != 8 || weight != 4 {
		t.Errorf("without workers: %d, %d", slots, weight)
	}
}
