package jobs

import (
	"sync"
	"time"
)

// reconnects announces each reconnection to a server that was unreachable. The
// zero value is ready to use. Methods are safe for concurrent use.
type reconnects struct {
	mu   sync.Mutex
	last time.Time
	next chan struct{}
}

// signal records a reconnection and wakes everything that waits for it.
func (c *reconnects) signal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// wait returns a channel that is closed at the next reconnection.
func (c *reconnects) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}

// within reports whether the latest reconnection was at most d ago.
func (c *reconnects) within(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.last.IsZero() && time.Since(c.last) < d
}
