package event

import "sync"

// Bus distributes events to followers. The zero value is ready to use; a nil
// *Bus drops all events.
type Bus struct {
	mu        sync.Mutex
	followers map[*follower]struct{}
}

type follower struct{ ch chan Event }

// followerBuffer is the number of unread events at which a follower is dropped.
const followerBuffer = 1024

// Follow returns a channel of all events published from now on, and a stop
// function, which may be called more than once. The channel is closed by stop,
// or when the follower has followerBuffer unread events.
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

// Publish sends e to all followers. It does not block.
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
