package jobs

import (
	"sync"
	"time"
)

// comebacks tells of each time that a server which was away is there again. Its
// zero value is ready; methods may be called from several goroutines.
type comebacks struct {
	mu   sync.Mutex
	last time.Time
	next chan struct{}
}

func (c *comebacks) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// told is closed at the next one.
func (c *comebacks) told() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}

// within tells whether the last one is no longer ago than d.
func (c *comebacks) within(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.last.IsZero() && time.Since(c.last) < d
}
