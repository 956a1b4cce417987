package build

import (
	"context"
	"sync"
	"time"

	"ingot/backend/event"
	"ingot/backend/guest"
)

// clock measures a step: how long it takes, and for how much of that time a child
// process runs (a command in a guest, a machine). The rest is Ingot's own.
type clock struct {
	began time.Time

	mu       sync.Mutex
	children time.Duration
	cpu      time.Duration // of the children, if the guest reports it
}

func newClock() *clock { return &clock{began: time.Now()} }

func (c *clock) child(began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.children += time.Since(began)
}

// worked adds the processor time of a child.
func (c *clock) worked(cpu time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cpu += cpu
}

// stamp adds the measured times to the event of a finished step.
func (c *clock) stamp(e event.Event) event.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.WallMS, e.ChildMS, e.CPUMS = time.Since(c.began).Milliseconds(), c.children.Milliseconds(), c.cpu.Milliseconds()
	return e
}

// timedGuest measures a guest's commands.
type timedGuest struct {
	guest.Guest
	clock *clock
}

// Run runs the command and adds its time.
func (g timedGuest) Run(ctx context.Context, c guest.Cmd) error {
	defer g.clock.child(time.Now())
	c.CPU = g.clock.worked
	return g.Guest.Run(ctx, c)
}
