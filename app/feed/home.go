package feed

import (
	"context"
	"sync"
	"time"

	"ingot/backend"
)

// Home is the Source of this user's home. It opens the home when it is first
// needed, and again where that failed, so that a face is there and says what is
// wrong with the home.
type Home struct {
	Open func() (*backend.Backend, error)

	mu     sync.Mutex
	client *backend.Client
}

// openPause is the time between two attempts to open the home.
const openPause = 5 * time.Second

func (h *Home) open() (*backend.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		return h.client, nil
	}
	b, err := h.Open()
	if err != nil {
		return nil, err
	}
	h.client = b.Client()
	return h.client, nil
}

// Watch watches the owner; see backend.Client.
func (h *Home) Watch(ctx context.Context, w backend.Watcher) {
	for {
		c, err := h.open()
		if err == nil {
			c.Watch(ctx, w)
			return
		}
		w.Gone(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(openPause):
		}
	}
}

// WatchVMs watches the user's Lima instances, which are in no home.
func (h *Home) WatchVMs(ctx context.Context, news func([]backend.VM, error)) error {
	return backend.WatchVMs(ctx, news)
}

// Status asks the owner, which reads configuration and recipes afresh.
func (h *Home) Status(ctx context.Context, targets ...string) ([]backend.Row, error) {
	c, err := h.open()
	if err != nil {
		return nil, err
	}
	return c.Status(ctx, targets...)
}
