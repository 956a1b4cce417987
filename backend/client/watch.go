package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"ingot/backend/api"
)

// Watcher receives the events of a home. Its functions are called one at a time
// by the goroutine that runs Watch, and must not block for long: a watcher that
// is 1024 events behind is disconnected, and gets a new snapshot.
type Watcher struct {
	Snapshot func(api.Snapshot) // called first, and again after every gap
	Event    func(api.Event)
	Gone     func(error) // called when there is no connection; Watch tries again
}

// Watch streams the home's events to w until ctx is done. It starts an owner if
// none is running, and keeps it running.
func (c *Client) Watch(ctx context.Context, w Watcher) {
	const most = 5 * time.Second
	delay := poll
	for ctx.Err() == nil {
		err := c.Connect(ctx)
		if err == nil {
			var started bool
			if started, err = c.watchOnce(ctx, w); started {
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

// watchOnce reads one stream to its end; started reports whether a snapshot was
// received.
func (c *Client) watchOnce(ctx context.Context, w Watcher) (started bool, err error) {
	ctx, stop := c.guard(ctx, nil)
	defer stop()
	res, err := c.send(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	var s api.Snapshot
	if err := dec.Decode(&s); err != nil {
		if serr := silence(ctx); serr != nil {
			return false, serr
		}
		return false, &api.NoOwnerError{Err: err}
	}
	w.Snapshot(s)
	for {
		var e api.Event
		if err := dec.Decode(&e); err != nil {
			return true, silence(ctx) // else the owner ended or closed the stream; the caller connects again
		}
		w.Event(e)
	}
}

// Status returns the rows of the named targets, or of all targets.
func (c *Client) Status(ctx context.Context, names ...string) ([]api.Row, error) {
	var rows []api.Row
	q := url.Values{"target": names}
	err := c.call(ctx, http.MethodGet, "/v1/status?"+q.Encode(), nil, &rows)
	return rows, err
}
