package record

import (
	"context"
	"runtime"
	"testing"
	"time"

	"ingot/backend/event"
	"ingot/backend/guest"
)

// cheap is a guest that reports the processor time of its commands.
type cheap struct {
	guest.Guest
	cpu time.Duration
}

func (g cheap) Run(_ context.Context, c guest.Cmd) error {
	if g.cpu > 0 {
		c.CPU(g.cpu)
	}
	return nil
}

// The end event of a step has the processor time of all its commands, and none if the
// guest does not report it.
func TestStepTellsCPU(t *testing.T) {
	for _, cpu := range []time.Duration{0, 1500 * time.Millisecond} {
		c := NewClock()
		for range 2 {
			if err := c.Guest(cheap{cpu: cpu}).Run(t.Context(), guest.Cmd{}); err != nil {
				t.Fatal(err)
			}
		}
		if e := c.Stamp(event.Event{}); e.CPUMS != 2*cpu.Milliseconds() {
			t.Errorf("%d ms of commands of %s each", e.CPUMS, cpu)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("the local guest needs Linux")
	}
	c := NewClock()
	busy := guest.Cmd{Argv: []string{"sh", "-c", "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'"}}
	if err := c.Guest(&guest.Local{}).Run(t.Context(), busy); err != nil {
		t.Fatal(err)
	}
	if e := c.Stamp(event.Event{}); e.CPUMS == 0 || e.CPUMS > 60_000 {
		t.Errorf("a busy child of a command took %d ms of a processor", e.CPUMS)
	}
}
