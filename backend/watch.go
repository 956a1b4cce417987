package backend

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Watcher is told what happens in a home; its functions are called one after
// another, by the goroutine that watches, and must not block for long: a
// watcher that falls 1024 events behind is dropped and gets a new snapshot.
type Watcher struct {
	Snapshot func(Snapshot) // first, and again after each gap
	Event    func(Event)
	Gone     func(error) // why there is no stream now; Watch tries again
}

// Watch streams what happens in the home until ctx ends, and returns then. It
// keeps an owner up.
func (c *Client) Watch(ctx context.Context, w Watcher) {
	const most = 5 * time.Second
	delay := poll
	for ctx.Err() == nil {
		err := c.Connect(ctx)
		if err == nil {
			var came bool
			if came, err = c.watchOnce(ctx, w); came {
				delay = poll
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.Gone(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
			delay = min(2*delay, most)
		}
	}
}

// watchOnce reads one stream to its end; came tells whether it began.
func (c *Client) watchOnce(ctx context.Context, w Watcher) (came bool, err error) {
	res, err := c.send(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	var s Snapshot
	if err := dec.Decode(&s); err != nil {
		return false, &NoOwnerError{err}
	}
	w.Snapshot(s)
	for {
		var e Event
		if err := dec.Decode(&e); err != nil {
			return true, nil //nolint:nilerr // the owner is gone, or dropped us: the caller comes back
		}
		w.Event(e)
	}
}

// Status asks the owner for the rows of the named targets, or of all.
func (c *Client) Status(ctx context.Context, names ...string) ([]Row, error) {
	var rows []Row
	q := url.Values{"target": names}
	err := c.call(ctx, http.MethodGet, "/v1/status?"+q.Encode(), nil, &rows)
	return rows, err
}
