package record

import (
	"context"
	"sync"
	"time"

	"ingot/backend/event"
	"ingot/backend/guest"
)

// Clock measures a step: how long it takes, and for how much of that time a child
// process runs (a command in a guest, a machine). The rest is Ingot's own. It is safe
// for concurrent use.
type Clock struct {
	began time.Time

	mu       sync.Mutex
	children time.Duration
	cpu      time.Duration // of the children, if the guest reports it
}

// NewClock returns a clock that starts now.
func NewClock() *Clock { return &Clock{began: time.Now()} }

// Child adds the time of a child that began then and has ended.
func (c *Clock) Child(began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.children += time.Since(began)
}

// worked adds the processor time of a child.
func (c *Clock) worked(cpu time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cpu += cpu
}

// Stamp adds the measured times to the event of a finished step.
func (c *Clock) Stamp(e event.Event) event.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.WallMS, e.ChildMS, e.CPUMS = time.Since(c.began).Milliseconds(), c.children.Milliseconds(), c.cpu.Milliseconds()
	return e
}

// Guest returns g with its commands measured.
func (c *Clock) Guest(g guest.Guest) guest.Guest { return timedGuest{g, c} }

type timedGuest struct {
	guest.Guest
	clock *Clock
}

// Run runs the command and adds its time.
func (g timedGuest) Run(ctx context.Context, c guest.Cmd) error {
	defer g.clock.Child(time.Now())
	c.CPU = g.clock.worked
	return g.Guest.Run(ctx, c)
}
