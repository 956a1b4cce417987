// Package client talks to the owner of a home over its socket: it submits,
// follows and cancels builds, watches events, and starts an owner if none is
// running. It uses the home's folders and nothing else of the home.
package client

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

	"ingot/backend/api"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/home"
)

// Client talks to a home's owner. Its methods are safe for concurrent use.
type Client struct {
	home home.Home
	http *http.Client
	// Check checks a submission before an owner is started for it. It may be
	// nil: the owner checks every submission too.
	Check func(api.Submission) error
	// Waiting is called once when a process that is not an owner holds the home
	// and the client waits for it. It may be nil.
	Waiting func(api.Holder)
	// Silent is called when a build is followed and its owner does not answer, or
	// when an owner is starting for long. The client keeps waiting if it returns true.
	// It may be nil.
	Silent func(error) bool
	// NoWait makes Connect return a *home.HeldError instead of waiting.
	NoWait bool
}

// New returns a client of the home's owner. It does not connect.
func New(h home.Home) *Client {
	path := api.OwnerSocket(h)
	return &Client{home: h, http: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return api.Dial(ctx, path)
	}}}}
}

// call sends a request. A non-nil body is sent as JSON; the answer is decoded
// into out unless out is nil.
func (c *Client) call(ctx context.Context, method, path string, body, out any) error {
	ctx, stop := c.guard(ctx, nil)
	defer stop()
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		if serr := silence(ctx); serr != nil {
			return serr
		}
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
		if serr := silence(ctx); serr != nil {
			return nil, serr
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if other := (*api.PeerError)(nil); errors.As(err, &other) {
			return nil, other
		}
		return nil, &api.NoOwnerError{Err: err}
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	var p api.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		p.Error = "the owner answered " + res.Status
	}
	if res.StatusCode == http.StatusServiceUnavailable {
		return nil, &api.LeavingError{}
	}
	return nil, p.Err()
}

// Info returns the owner's description of itself, or a *api.NoOwnerError if
// none is running.
func (c *Client) Info(ctx context.Context) (api.OwnerInfo, error) {
	var info api.OwnerInfo
	err := c.call(ctx, http.MethodGet, "/v1/owner", nil, &info)
	return info, err
}

// Leave asks the owner to end as soon as it has no builds. idle reports whether
// it has none now.
func (c *Client) Leave(ctx context.Context) (idle bool, err error) {
	var answer struct{ Idle bool }
	err = c.call(ctx, http.MethodPost, "/v1/owner/leave", nil, &answer)
	return answer.Idle, err
}

// SkewError reports that the running owner is of another version of Ingot, or
// was started with other settings, and has builds.
type SkewError struct {
	Owner api.OwnerInfo
	What  string
}

func (e *SkewError) Error() string {
	var builds []string
	for _, b := range e.Owner.Builds {
		builds = append(builds, b.ID+" of "+b.Target)
	}
	return fmt.Sprintf("Ingot's owner (process %d, since %s) has %s, and is running build %s: wait for it, or cancel it with `ingot cancel`; a new owner starts as soon as this one is idle",
		e.Owner.PID, e.Owner.Started.Local().Format("15:04:05"), e.What, strings.Join(builds, ", "))
}

// ErrorClass sorts the error; see package cause.
func (*SkewError) ErrorClass() cause.Class { return cause.InUse }

// skew describes how an owner differs from one that this client would start; ""
// means not at all.
func skew(o api.OwnerInfo, version string, env map[string]string) string {
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

// poll is the time between two checks whether an owner has started or ended.
const poll = 20 * time.Millisecond

// Connect returns when an owner of this version and environment is running. It
// starts one if there is none, and first asks an idle owner of another version
// or environment to end.
func (c *Client) Connect(ctx context.Context) error {
	reported, began := false, time.Now()
	for {
		info, err := c.Info(ctx)
		var none *api.NoOwnerError
		if !errors.As(err, &none) {
			began = time.Now()
		}
		switch {
		case errors.As(err, &none):
			if err := c.start(ctx, &reported); err != nil {
				return err
			}
			if h := c.home.Holder(); h.Purpose != api.OwnerPurpose {
				began = time.Now()
			}
			if err := c.starting(began); err != nil {
				if c.Silent == nil || !c.Silent(err) {
					return err
				}
				began = time.Now() // it may have much to clean up: report again later
			}
		case err != nil:
			return err
		case info.Leaving && len(info.Builds) == 0:
		default:
			what := skew(info, api.Version, api.Environment(os.Environ()))
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

// start starts an owner. If another process holds the home, it waits a moment
// instead and sets *reported after it has called Waiting.
func (c *Client) start(ctx context.Context, reported *bool) error {
	err := c.spawn(ctx)
	var held *home.HeldError
	if !errors.As(err, &held) {
		return err
	}
	if held.Holder.Purpose == api.OwnerPurpose {
		return nil // another client has just started it, or it is ending
	}
	if c.NoWait {
		return err
	}
	if !*reported && c.Waiting != nil {
		c.Waiting(held.Holder)
	}
	*reported = true
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}

// Submit submits a build to the owner and returns the build's id.
func (c *Client) Submit(ctx context.Context, s api.Submission) (string, error) {
	if c.Check != nil {
		if err := c.Check(s); err != nil {
			return "", err
		}
	}
	for {
		if err := c.Connect(ctx); err != nil {
			return "", err
		}
		var answer struct{ Build string }
		err := c.call(ctx, http.MethodPost, "/v1/builds", s, &answer)
		var leaving *api.LeavingError
		var none *api.NoOwnerError
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

// Cancel cancels a build that is running or waiting.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/builds/"+id, nil, nil)
}

// Follow calls show with each of the build's events with an id above since
// until the build ends, and returns the build's failure. If the owner ends, it
// starts another one and follows the build there. When ctx is done, Follow
// returns and the build continues.
func (c *Client) Follow(ctx context.Context, name, id string, since int64, show func(api.Event)) error {
	for {
		last, err := c.follow(ctx, name, id, &since, show)
		if err == nil && last != nil {
			return EndOf(*last)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var none *api.NoOwnerError
		if err != nil && !errors.As(err, &none) {
			return err
		}
		if err := c.Connect(ctx); err != nil {
			return err
		}
	}
}

// EndOf returns the failure that the last event of a build tells as an error, nil for
// a pass.
func EndOf(e api.Event) error {
	switch e.Outcome {
	case event.Passed:
		return nil
	case event.Cancelled:
		return &api.CancelledError{Build: e.Build}
	}
	return &api.RemoteError{Msg: e.Msg, Class: cause.ClassNamed(e.Class), Cause: e.Cause, Fix: e.Fix}
}

// follow reads one stream of events. last is the event that ends the build, if
// it was received.
func (c *Client) follow(ctx context.Context, name, id string, since *int64, show func(api.Event)) (last *api.Event, err error) {
	ctx, stop := c.guard(ctx, c.Silent)
	defer stop()
	res, err := c.send(ctx, http.MethodGet, fmt.Sprintf("/v1/builds/%s/%s/events?since=%d", name, id, *since), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	for {
		var e api.Event
		if err := dec.Decode(&e); err != nil {
			return nil, silence(ctx) // else the owner ended or closed the stream; the caller connects again
		}
		*since = max(*since, e.ID)
		show(e)
		if e.Kind == event.BuildFinished {
			return &e, nil
		}
	}
}
