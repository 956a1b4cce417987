package event

import "sync"

// Bus hands events to followers. The zero value is ready; a nil *Bus drops all.
type Bus struct {
	mu        sync.Mutex
	followers map[*follower]struct{}
}

type follower struct{ ch chan Event }

// followerBuffer is how far a follower may fall behind before it is dropped.
const followerBuffer = 1024

// Follow returns a channel of events from now on, and a stop function that may
// be called once or more. The channel is closed by stop, or when the follower
// fell behind; work is never blocked by a slow follower.
func (b *Bus) Follow() (<-chan Event, func()) {
	f := &follower{ch: make(chan Event, followerBuffer)}
	b.mu.Lock()
	if b.followers == nil {
		b.followers = map[*follower]struct{}{}
	}
	b.followers[f] = struct{}{}
	b.mu.Unlock()
	return f.ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(f)
	}
}

func (b *Bus) drop(f *follower) {
	if _, ok := b.followers[f]; ok {
		delete(b.followers, f)
		close(f.ch)
	}
}

// Publish hands e to all followers without waiting for any.
func (b *Bus) Publish(e Event) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for f := range b.followers {
		select {
		case f.ch <- e:
		default:
			b.drop(f)
		}
	}
}
