package feed

import (
	"context"
	"sync"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/client"
	"ingot/backend/owner"
	"ingot/backend/vm"
)

// Home is the Source of this user's home. It opens the home when it is first
// needed, and again after a failure, so that the app starts and shows the
// problem even if the home cannot be opened.
type Home struct {
	Open func() (*backend.Backend, error)

	mu     sync.Mutex
	client *client.Client
}

// openPause is the time between two attempts to open the home.
const openPause = 5 * time.Second

func (h *Home) open() (*client.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		return h.client, nil
	}
	b, err := h.Open()
	if err != nil {
		return nil, err
	}
	h.client = owner.ClientOf(b)
	return h.client, nil
}

// Watch watches the owner; see client.Client.Watch.
func (h *Home) Watch(ctx context.Context, w client.Watcher) {
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

// WatchVMs watches the user's Lima instances, which are independent of the
// home.
func (h *Home) WatchVMs(ctx context.Context, news func([]vm.Instance, error)) error {
	return vm.Watch(ctx, news)
}

// Status asks the owner, which reads configuration and recipes again.
func (h *Home) Status(ctx context.Context, targets ...string) ([]api.Row, error) {
	c, err := h.open()
	if err != nil {
		return nil, err
	}
	return c.Status(ctx, targets...)
}
