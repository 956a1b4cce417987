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

// Chunk is a part of a log: Data belongs at Offset. Chunks may come twice.
type Chunk struct {
	Worker, Step string
	Offset       int64
	Data         []byte
}

// Follower is told what a build does elsewhere. Its methods are called one at a
// time; an error of theirs ends the following.
type Follower interface {
	// Event is an event of the worker's journal, each once, with Origin set; or
	// progress, without an origin.
	Event(worker string, e event.Event) error
	Log(c Chunk) error
	// Away says that the server cannot be reached, and with nil that it can be
	// again.
	Away(err error) error
	// Idle is called about every second while nothing comes.
	Idle(ctx context.Context) error
}

// Follow tells f what comes after the stream's number after, until there is a
// result. It goes on while the server is away, until ctx ends.
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
	build    string
	after    uint64
	f        Follower
	away     bool
	wake     chan struct{}
	progress chan event.Event
}

// listen lets the sender wake the follower when the stream has something new.
func (w *following) listen() (stop func(), err error) {
	conn := w.js.Conn()
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // the connection may be gone
		}
	}
	nudge := func(*nats.Msg) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	for subj, call := range map[string]nats.MsgHandler{
		storedSubject(w.build): nudge, progressSubject(w.build): w.takeProgress,
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
	case w.progress <- event.Event{Kind: event.Progress, Step: plain(e.Step), Done: e.Done, Total: e.Total, ETA: e.ETA}:
	default: // the next one comes soon
	}
}

func (w *following) run(ctx context.Context) (Result, error) {
	ticker := time.NewTicker(look)
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
			if !w.away {
				err = w.f.Idle(ctx)
			}
		}
		if err != nil {
			return Result{}, err
		}
	}
}

// catchUp hands on all that there is. A result was left after all that belongs
// to it, so the stream is read once more when there is one.
func (w *following) catchUp(ctx context.Context) (r Result, done bool, err error) {
	var mine *followerError
	err = w.drain(ctx)
	if err == nil {
		if r, done, err = w.Result(ctx, w.build); err == nil && done {
			err = w.drain(ctx)
		}
	}
	var bad *Error
	switch {
	case errors.As(err, &mine):
		return r, true, mine.err
	case errors.As(err, &bad):
		return r, true, err
	case err != nil && ctx.Err() == nil:
		return r, false, w.tellAway(w.Explain(err))
	}
	if w.away && err == nil {
		return r, done, w.tellAway(nil)
	}
	return r, done && err == nil, nil
}

func (w *following) tellAway(err error) error {
	if w.away == (err != nil) {
		return nil
	}
	w.away = err != nil
	return w.f.Away(err)
}

// followerError is an error of the follower, not of the server.
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
		if err := w.hand(m); err != nil {
			return &followerError{err}
		}
		w.after = m.Sequence
	}
}

// hand gives a message to the follower. What is no message of a worker is left
// out: it can be no more than noise.
func (w *following) hand(m *jetstream.RawStreamMsg) error {
	words := strings.Split(m.Subject, ".") // team kind build worker [step]
	if len(words) < 4 || !word.MatchString(words[3]) {
		return nil
	}
	switch {
	case words[1] == "event" && len(words) == 4:
		var e event.Event
		if json.Unmarshal(m.Data, &e) != nil {
			return nil
		}
		return w.f.Event(words[3], foreign(e, m.Sequence))
	case words[1] == "log" && len(words) == 5 && stepName.MatchString(words[4]):
		off, err := strconv.ParseInt(m.Header.Get(offsetHeader), 10, 64)
		if err != nil || off < 0 || off > maxLog {
			return nil
		}
		return w.f.Log(Chunk{Worker: words[3], Step: words[4], Offset: off, Data: m.Data})
	}
	return nil
}

// foreign takes over of an event what may come from elsewhere: no process of
// this computer, no evidence that is not here, and texts for a terminal.
func foreign(e event.Event, seq uint64) event.Event {
	return event.Event{At: e.At.UTC(), Kind: e.Kind, Step: plain(e.Step), Msg: plain(e.Msg), Outcome: e.Outcome, Cause: plain(e.Cause), Fix: plain(e.Fix),
		Class: plain(e.Class), WallMS: e.WallMS, ChildMS: e.ChildMS, Origin: seq}
}

// plain leaves out what would steer a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}
