package window

import (
	"testing"

	"ingot/backend/api"
)

// A step says how long it took, and its processor time where that is known.
func TestStepTime(t *testing.T) {
	for want, e := range map[string]api.Event{
		"2m5s":            {WallMS: 125_000},
		"2m5s, CPU 8m20s": {WallMS: 125_000, CPUMS: 500_000},
	} {
		e.Kind, e.Step, e.Outcome = api.EventStepFinished, "kernel", api.OutcomePassed
		if s := timeline([]api.Event{e}); len(s) != 1 || s[0].time() != want {
			t.Errorf("%+v, want %s", s, want)
		}
	}
}
