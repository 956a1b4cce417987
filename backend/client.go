package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"ingot/backend/event"
	"ingot/backend/home"
)

// Client speaks with a home's owner. Its methods may be called from several
// goroutines.
type Client struct {
	b    *Backend
	http *http.Client
	// Waiting is told once when the home is held by another process than an
	// owner, and the client waits for it. May be nil.
	Waiting func(Holder)
	// NoWait fails then instead.
	NoWait bool
}

// Client returns a client of this home's owner, without connecting.
func (b *Backend) Client() *Client {
	path := socketPath(b.Home)
	return &Client{b: b, http: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}}
}

// RemoteError is an error that an owner reported, or the end of a build.
type RemoteError struct {
	Msg        string
	Class      Class
	Cause, Fix string
}

func (e *RemoteError) Error() string { return e.Msg }

// CauseID names the cause.
func (e *RemoteError) CauseID() string { return e.Cause }

// NoOwnerError says that no owner runs.
type NoOwnerError struct{ Err error }

func (e *NoOwnerError) Error() string { return "no owner runs: " + e.Err.Error() }
func (e *NoOwnerError) Unwrap() error { return e.Err }

// call makes a request; a body that is not nil is sent as JSON, and the answer
// read into out unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, body, out any) error {
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("owner: %s: %w", path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://owner"+path, in)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &NoOwnerError{err}
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	var p problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		p.Error = "the owner answered " + res.Status
	}
	if res.StatusCode == http.StatusServiceUnavailable {
		return nil, &LeavingError{}
	}
	return nil, p.err()
}

// Info asks the owner what it is; *NoOwnerError when there is none.
func (c *Client) Info(ctx context.Context) (OwnerInfo, error) {
	var info OwnerInfo
	err := c.call(ctx, http.MethodGet, "/v1/owner", nil, &info)
	return info, err
}

// Leave asks the owner to end as soon as it has no work; idle tells that it
// has none now.
func (c *Client) Leave(ctx context.Context) (idle bool, err error) {
	var answer struct{ Idle bool }
	err = c.call(ctx, http.MethodPost, "/v1/owner/leave", nil, &answer)
	return answer.Idle, err
}

// SkewError says that the owner at work was started by another version of
// Ingot, or with other settings, and is busy.
type SkewError struct {
	Owner OwnerInfo
	What  string
}

func (e *SkewError) Error() string {
	var builds []string
	for _, b := range e.Owner.Builds {
		builds = append(builds, b.ID+" of "+b.Target)
	}
	return fmt.Sprintf("Ingot's owner (process %d, since %s) has %s, and is busy with build %s: wait for that, or end it with `ingot cancel`; the owner is started anew as soon as it is idle",
		e.Owner.PID, e.Owner.Started.Local().Format("15:04:05"), e.What, strings.Join(builds, ", "))
}

// skew compares an owner with what a client would start.
func skew(o OwnerInfo, version string, env map[string]string) string {
	if o.Version != version {
		return fmt.Sprintf("version %s, not %s", o.Version, version)
	}
	var names []string
	for name := range maps.Keys(env) {
		if o.Env[name] != env[name] {
			names = append(names, name)
		}
	}
	for name := range o.Env {
		if _, ok := env[name]; !ok {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "another environment (" + strings.Join(names, ", ") + ")"
}

// poll is how often a client looks for an owner that comes or goes.
const poll = 20 * time.Millisecond

// Connect makes sure of an owner of this version and environment: it starts
// one where there is none, and asks an idle one of another kind to leave first.
func (c *Client) Connect(ctx context.Context) error {
	told := false
	for {
		info, err := c.Info(ctx)
		var none *NoOwnerError
		switch {
		case errors.As(err, &none):
			if err := c.start(ctx, &told); err != nil {
				return err
			}
		case err != nil:
			return err
		case info.Leaving && len(info.Builds) == 0:
		default:
			what := skew(info, Version, environment(os.Environ()))
			if what == "" && !info.Leaving {
				return nil
			}
			if len(info.Builds) > 0 {
				if what == "" {
					what = "been asked to end"
				}
				return &SkewError{info, what}
			}
			if _, err := c.Leave(ctx); err != nil && !errors.As(err, &none) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// start starts an owner, or waits while another process holds the home.
func (c *Client) start(ctx context.Context, told *bool) error {
	err := c.spawn(ctx)
	var held *home.HeldError
	if !errors.As(err, &held) {
		return err
	}
	if held.Holder.Purpose == ownerPurpose {
		return nil // one that another client has just started, or that is just going
	}
	if c.NoWait {
		return err
	}
	if !*told && c.Waiting != nil {
		c.Waiting(held.Holder)
	}
	*told = true
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}

// Submit hands a build to the owner and returns its id.
func (c *Client) Submit(ctx context.Context, s Submission) (string, error) {
	if err := c.b.CheckSubmission(s); err != nil {
		return "", err // without starting anything
	}
	for {
		if err := c.Connect(ctx); err != nil {
			return "", err
		}
		var answer struct{ Build string }
		err := c.call(ctx, http.MethodPost, "/v1/builds", s, &answer)
		var leaving *LeavingError
		var none *NoOwnerError
		if !errors.As(err, &leaving) && !errors.As(err, &none) {
			return answer.Build, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(poll):
		}
	}
}

// Cancel ends a build that runs or waits.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/builds/"+id, nil, nil)
}

// Follow calls show with the build's events from the one after since, until the
// build ends; its failure is the error. When the owner goes away, another one
// is started, and the build goes on with it. The end of ctx ends the view, not
// the build.
func (c *Client) Follow(ctx context.Context, name, id string, since int64, show func(Event)) error {
	for {
		last, err := c.follow(ctx, name, id, &since, show)
		if err == nil && last != nil {
			return endOf(*last)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var none *NoOwnerError
		if err != nil && !errors.As(err, &none) {
			return err
		}
		if err := c.Connect(ctx); err != nil {
			return err
		}
	}
}

// endOf is a build's failure as an error.
func endOf(e Event) error {
	switch e.Outcome {
	case event.Passed:
		return nil
	case event.Cancelled:
		return &CancelledError{e.Build}
	}
	return &RemoteError{Msg: e.Msg, Class: classNamed(e.Class), Cause: e.Cause, Fix: e.Fix}
}

// CancelledError says that a build was cancelled.
type CancelledError struct{ Build string }

func (e *CancelledError) Error() string { return "build " + e.Build + " was cancelled" }

// follow reads one stream; last is the build's end, if it came.
func (c *Client) follow(ctx context.Context, name, id string, since *int64, show func(Event)) (last *Event, err error) {
	res, err := c.send(ctx, http.MethodGet, fmt.Sprintf("/v1/builds/%s/%s/events?since=%d", name, id, *since), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	for {
		var e Event
		if err := dec.Decode(&e); err != nil {
			return nil, nil //nolint:nilerr // the owner is gone, or dropped us: the caller comes back
		}
		*since = max(*since, e.ID)
		show(e)
		if e.Kind == event.BuildFinished {
			return &e, nil
		}
	}
}
