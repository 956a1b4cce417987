package team

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ingot/backend/event"
)

// Headers of the stream's messages.
const (
	eventHeader  = "Ingot-Event"  // the event's id in the worker's journal
	offsetHeader = "Ingot-Offset" // where in the log the bytes belong
)

// Source is what a worker sends of one build.
type Source struct {
	Build, Worker string
	Journal       string // file
	Logs          string // folder of *.log
}

// Sender sends a build's journal and logs as they grow, from the files, so that
// nothing is lost while the server is away or when the worker is killed. One
// goroutine at a time may send; Wake may be called from any.
type Sender struct {
	s     *Station
	src   Source
	wake  chan struct{}
	known bool             // what the stream has already
	event int64            // id of the last event sent
	logs  map[string]int64 // bytes sent by file name
}

// Sender makes the sender of a build.
func (s *Station) Sender(src Source) *Sender {
	return &Sender{s: s, src: src, wake: make(chan struct{}, 1)}
}

// Wake says that there may be something new.
func (x *Sender) Wake() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// look is how often a sender and a follower look without having been told.
const look = time.Second

// Run sends what is new until ctx ends. away is called when the server cannot
// be reached, and again with nil when it can; it may be nil.
func (x *Sender) Run(ctx context.Context, away func(error)) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	gone := false
	for {
		err := x.send(ctx)
		if away != nil && gone != (err != nil) && ctx.Err() == nil {
			gone = err != nil
			away(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
		case <-ticker.C:
		}
	}
}

// Flush sends all that there is; it goes on trying until ctx ends.
func (x *Sender) Flush(ctx context.Context) error {
	return persist(ctx, x.send)
}

// persist calls do until it succeeds or ctx ends; the error is then do's last.
func persist(ctx context.Context, do func(context.Context) error) error {
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(look):
		}
	}
}

func (x *Sender) send(ctx context.Context) error {
	if !x.known {
		if err := x.resume(ctx); err != nil {
			return err
		}
	}
	// logs first: an event that ends a step comes after the step's last line
	if err := x.sendLogs(ctx); err != nil {
		return err
	}
	return x.sendEvents(ctx)
}

// resume asks the stream what it has of this worker.
func (x *Sender) resume(ctx context.Context) error {
	x.logs = map[string]int64{}
	last, err := x.last(ctx, x.subject("event"))
	if err != nil {
		return err
	}
	if last != nil {
		x.event, _ = strconv.ParseInt(last.Header.Get(eventHeader), 10, 64) // of another program: sent again
	}
	x.known = true
	return nil
}

// last is the last message of a subject; nil when there is none.
func (x *Sender) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	m, err := x.s.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	return m, err
}

func (x *Sender) subject(kind string, more ...string) string {
	return subject(append([]string{"team", kind, x.src.Build, x.src.Worker}, more...)...)
}

func (x *Sender) sendEvents(ctx context.Context) error {
	events, err := event.Read(x.src.Journal)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range events {
		if e.ID <= x.event {
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("event: %w", err)
		}
		if len(data) > maxMessage {
			e.Msg = "(too long to be sent)"
			data, _ = json.Marshal(e) // what could be written once can be again
		}
		id := strconv.FormatInt(e.ID, 10)
		m := &nats.Msg{Subject: x.subject("event"), Data: data, Header: nats.Header{eventHeader: {id}}}
		if err := x.publish(ctx, m, jetstream.WithMsgID(x.src.Build+"/"+x.src.Worker+"/"+id)); err != nil {
			return err
		}
		x.event = e.ID
	}
	return nil
}

func (x *Sender) publish(ctx context.Context, m *nats.Msg, opt ...jetstream.PublishOpt) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := x.s.js.PublishMsg(ctx, m, opt...)
	if err == nil {
		x.s.stored(x.src.Build)
	}
	return err
}

// stored wakes the build's followers. The message itself would come to them
// before the stream has it.
func (s *Station) stored(build string) {
	_ = s.js.Conn().Publish(storedSubject(build), nil) // they look by themselves, later
}

func storedSubject(build string) string { return subject("team", "stored", build) }

// Progress tells followers how far a step is: those who listen now, nobody else.
func (x *Sender) Progress(e event.Event) {
	if data, err := json.Marshal(e); err == nil {
		_ = x.s.Queue.JetStream().Conn().Publish(progressSubject(x.src.Build), data) // the next one comes soon
	}
}

func progressSubject(build string) string { return subject("team", "progress", build) }

func (x *Sender) sendLogs(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(x.src.Logs, "*.log"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if step, ok := logStep(filepath.Base(f)); ok {
			if err := x.sendLog(ctx, f, step); err != nil {
				return err
			}
		}
	}
	return nil
}

// logStep is the step that a log is named after.
func logStep(file string) (string, bool) {
	step, ok := strings.CutSuffix(file, ".log")
	return step, ok && stepName.MatchString(step)
}

func (x *Sender) sendLog(ctx context.Context, file, step string) error {
	subj := x.subject("log", step)
	sent, known := x.logs[step]
	if !known {
		last, err := x.last(ctx, subj)
		if err != nil {
			return err
		}
		if last != nil {
			sent, _ = strconv.ParseInt(last.Header.Get(offsetHeader), 10, 64)
			sent += int64(len(last.Data))
		}
		x.logs[step] = sent
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for buf := make([]byte, maxMessage); sent < maxLog; {
		n, err := f.ReadAt(buf, sent)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return nil
		}
		m := &nats.Msg{Subject: subj, Data: buf[:n], Header: nats.Header{offsetHeader: {strconv.FormatInt(sent, 10)}}}
		if err := x.publish(ctx, m); err != nil {
			return err
		}
		sent += int64(n)
		x.logs[step] = sent
	}
	return nil
}
