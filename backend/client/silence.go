package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ingot/backend/api"
)

// A request may take long, such as a status of many targets; an owner that runs
// answers another one meanwhile. So while the client waits, it sends a ping after
// each pingAfter, which must be answered within pingLimit, if only with a 404 of an
// earlier Ingot. The sum of the two is below ten seconds.
var (
	pingAfter = 2 * time.Second
	pingLimit = 4 * time.Second
)

// ping returns a *api.SilentOwnerError if an owner accepts a request and does not
// answer it. Other failures are for the request that the client waits for.
func (c *Client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pingLimit, errSilent)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://owner/v1/ping", nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err == nil {
		return res.Body.Close()
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		return c.silent(pingAfter + pingLimit)
	}
	return nil
}

var errSilent = errors.New("no answer")

func (c *Client) silent(after time.Duration) error {
	e := &api.SilentOwnerError{After: after}
	if h := c.home.Holder(); h.Purpose == api.OwnerPurpose {
		e.PID = h.PID
	}
	return e
}

// guard watches over a request. When the owner is silent it calls silent, which may
// be nil; unless that returns true, the context that it returns ends with a
// *api.SilentOwnerError as its cause. The caller calls stop, which waits.
func (c *Client) guard(ctx context.Context, silent func(error) bool) (guarded context.Context, stop func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		reported := false
		for {
			select {
			case <-guarded.Done():
				return
			case <-time.After(pingAfter):
			}
			err := c.ping(guarded)
			var none *api.SilentOwnerError
			if !errors.As(err, &none) {
				reported = false
				continue
			}
			if !reported && (silent == nil || !silent(err)) {
				cancel(err)
				return
			}
			reported = true
		}
	}()
	return guarded, func() {
		cancel(nil)
		<-done
	}
}

// silence returns the cause of a guarded context if that is a silent owner.
func silence(ctx context.Context) error {
	var none *api.SilentOwnerError
	if errors.As(context.Cause(ctx), &none) {
		return none
	}
	return nil
}

// startLimit is how long a process may hold the home as its owner without a socket:
// it is starting or ending.
var startLimit = 8 * time.Second

// starting returns a *api.SilentOwnerError if the owner has been without a socket
// since began for too long.
func (c *Client) starting(began time.Time) error {
	if d := time.Since(began); d > startLimit {
		return fmt.Errorf("it holds the home and has no socket: %w", c.silent(d.Round(time.Second)))
	}
	return nil
}
