package team

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ingot/backend/event"
)

var stepName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Chunk is a part of a worker's log: Data belongs at Offset, in bytes. The same
// chunk may be delivered more than once.
type Chunk struct {
	Worker, Step string
	Offset       int64
	Data         []byte
}

// Follower receives what a build on another machine reports. Its methods are
// called one at a time. If one returns an error, Follow returns that error.
type Follower interface {
	// Event receives each event of the worker's journal once, with Origin set,
	// and progress events, which have no Origin and an empty worker.
	Event(worker string, e event.Event) error
	Log(c Chunk) error
	// ConnectionChanged is called with an error when the server becomes
	// unreachable, and with nil when it is reachable again.
	ConnectionChanged(err error) error
	// Idle is called about once a second while nothing arrives.
	Idle(ctx context.Context) error
}

// Follow passes the stream's messages with sequence numbers above after to f,
// until the build has a result. While the server is unreachable it keeps trying
// until ctx is done.
func (s *Station) Follow(ctx context.Context, build string, after uint64, f Follower) (Result, error) {
	w := &following{Station: s, build: build, after: after, f: f, wake: make(chan struct{}, 1), progress: make(chan event.Event, 64)}
	stop, err := w.listen()
	if err != nil {
		return Result{}, err
	}
	defer stop()
	return w.run(ctx)
}

type following struct {
	*Station
	build        string
	after        uint64
	f            Follower
	disconnected bool
	wake         chan struct{}
	progress     chan event.Event
}

// listen subscribes to the sender's notifications, so that new messages are
// read at once.
func (w *following) listen() (stop func(), err error) {
	conn := w.js.Conn()
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // the connection may be closed
		}
	}
	wake := func(*nats.Msg) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	for subj, call := range map[string]nats.MsgHandler{
		storedSubject(w.build): wake, progressSubject(w.build): w.takeProgress,
	} {
		s, err := conn.Subscribe(subj, call)
		if err != nil {
			stop()
			return nil, err
		}
		subs = append(subs, s)
	}
	return stop, nil
}

func (w *following) takeProgress(m *nats.Msg) {
	var e event.Event
	if json.Unmarshal(m.Data, &e) != nil || e.Kind != event.Progress {
		return
	}
	select {
	case w.progress <- event.Event{Kind: event.Progress, Step: stripControls(e.Step), Done: e.Done, Total: e.Total, ETA: e.ETA}:
	default: // the channel is full; a later event replaces this one
	}
}

func (w *following) run(ctx context.Context) (Result, error) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		result, done, err := w.catchUp(ctx)
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		if done || err != nil {
			return result, err
		}
		select {
		case <-ctx.Done():
			return Result{}, context.Cause(ctx)
		case <-w.wake:
		case e := <-w.progress:
			err = w.f.Event("", e)
		case <-ticker.C:
			if !w.disconnected {
				err = w.f.Idle(ctx)
			}
		}
		if err != nil {
			return Result{}, err
		}
	}
}

// catchUp delivers all messages that the stream has. A result is written after
// all messages that belong to it, so once there is one the stream is read again
// to its end.
func (w *following) catchUp(ctx context.Context) (r Result, done bool, err error) {
	var ferr *followerError
	err = w.drain(ctx)
	if err == nil {
		if r, done, err = w.Result(ctx, w.build); err == nil && done {
			err = w.drain(ctx)
		}
	}
	var bad *Error
	switch {
	case errors.As(err, &ferr):
		return r, true, ferr.err
	case errors.As(err, &bad):
		return r, true, err
	case err != nil && ctx.Err() == nil:
		return r, false, w.setDisconnected(w.Explain(err))
	}
	if w.disconnected && err == nil {
		return r, done, w.setDisconnected(nil)
	}
	return r, done && err == nil, nil
}

func (w *following) setDisconnected(err error) error {
	if w.disconnected == (err != nil) {
		return nil
	}
	w.disconnected = err != nil
	return w.f.ConnectionChanged(err)
}

// followerError marks an error of the Follower, as opposed to one of the
// server.
type followerError struct{ err error }

func (e *followerError) Error() string { return e.err.Error() }

func (w *following) drain(ctx context.Context) error {
	for {
		call, cancel := context.WithTimeout(ctx, callLimit)
		m, err := w.stream.GetMsg(call, w.after+1, jetstream.WithGetMsgSubject("team.*."+subject(w.build)+".>"))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.deliver(m); err != nil {
			return &followerError{err}
		}
		w.after = m.Sequence
	}
}

// deliver passes a message to the follower. A message that does not have the
// form of a worker's message is ignored.
func (w *following) deliver(m *jetstream.RawStreamMsg) error {
	tokens := strings.Split(m.Subject, ".") // team kind build worker [step]
	if len(tokens) < 4 || !validName.MatchString(tokens[3]) {
		return nil
	}
	switch {
	case tokens[1] == "event" && len(tokens) == 4:
		var e event.Event
		if json.Unmarshal(m.Data, &e) != nil {
			return nil
		}
		return w.f.Event(tokens[3], sanitise(e, m.Sequence))
	case tokens[1] == "log" && len(tokens) == 5 && stepName.MatchString(tokens[4]):
		off, err := strconv.ParseInt(m.Header.Get(offsetHeader), 10, 64)
		if err != nil || off < 0 || off > maxLog {
			return nil
		}
		return w.f.Log(Chunk{Worker: tokens[3], Step: tokens[4], Offset: off, Data: m.Data})
	}
	return nil
}

// sanitise copies the fields of an event that another machine may set. Process
// ids and evidence ids are left out, and control characters are removed from
// texts.
func sanitise(e event.Event, seq uint64) event.Event {
	return event.Event{At: e.At.UTC(), Kind: e.Kind, Step: stripControls(e.Step), Msg: stripControls(e.Msg), Outcome: e.Outcome, Cause: stripControls(e.Cause), Fix: stripControls(e.Fix),
		Class: stripControls(e.Class), WallMS: e.WallMS, ChildMS: e.ChildMS, CPUMS: e.CPUMS, Origin: seq}
}

// stripControls removes control characters, which could change a terminal's
// state.
func stripControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}
