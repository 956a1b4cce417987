package build

import (
	"context"
	"sync"
	"time"

	"ingot/backend/event"
	"ingot/backend/guest"
	"ingot/backend/proof"
)

// clock measures a step: how long it takes, and for how much of that a child
// process ran – a command in a guest, a machine. The rest is Ingot's own.
type clock struct {
	began time.Time

	mu       sync.Mutex
	children time.Duration
}

func newClock() *clock { return &clock{began: time.Now()} }

func (c *clock) child(began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.children += time.Since(began)
}

// stamp writes the measure into the event of a finished step.
func (c *clock) stamp(e event.Event) event.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.WallMS, e.ChildMS = time.Since(c.began).Milliseconds(), c.children.Milliseconds()
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
	return g.Guest.Run(ctx, c)
}

// timedBooter measures the lives of machines.
type timedBooter struct {
	proof.Booter
	clock *clock
}

// Boot starts a machine; its time is added when it is killed.
func (b timedBooter) Boot(ctx context.Context, req proof.Request) (proof.Machine, error) {
	began := time.Now()
	m, err := b.Booter.Boot(ctx, req)
	if err != nil {
		b.clock.child(began)
		return m, err
	}
	return &timedMachine{Machine: m, ended: func() { b.clock.child(began) }}, nil
}

type timedMachine struct {
	proof.Machine
	once  sync.Once
	ended func()
}

// Kill ends the machine.
func (m *timedMachine) Kill() {
	m.Machine.Kill()
	m.once.Do(m.ended)
}
