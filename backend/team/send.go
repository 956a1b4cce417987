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

// Source names what a worker sends of one build.
type Source struct {
	Build, Worker string
	Journal       string // journal file
	Logs          string // folder that has the *.log files
}

// Sender sends a build's journal and logs as they grow. It reads them from the
// files, so nothing is lost while the server is unreachable or when the worker
// is killed. Only one goroutine may send; Wake is safe for concurrent use.
type Sender struct {
	s     *Station
	src   Source
	wake  chan struct{}
	known bool             // event is valid: the stream was asked for the last event sent
	event int64            // id of the last event sent
	logs  map[string]int64 // bytes sent by file name
}

// Sender returns a sender for a build. It sends nothing until Run or Flush is
// called.
func (s *Station) Sender(src Source) *Sender {
	return &Sender{s: s, src: src, wake: make(chan struct{}, 1)}
}

// Wake makes Run look for new data at once. It does not block.
func (x *Sender) Wake() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// pollInterval is how often a sender and a follower check for new data without
// a notification.
const pollInterval = time.Second

// Run sends new data until ctx is done. connection is called with an error when
// the server becomes unreachable and with nil when it is reachable again; it
// may be nil.
func (x *Sender) Run(ctx context.Context, connection func(error)) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	disconnected := false
	for {
		err := x.send(ctx)
		if connection != nil && disconnected != (err != nil) && ctx.Err() == nil {
			disconnected = err != nil
			connection(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
		case <-ticker.C:
		}
	}
}

// Flush sends all data that exists now. It retries until ctx is done.
func (x *Sender) Flush(ctx context.Context) error {
	return retry(ctx, x.send)
}

// retry calls do every pollInterval until it succeeds or ctx is done. It then
// returns the context's cause joined with the last error of do.
func retry(ctx context.Context, do func(context.Context) error) error {
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(pollInterval):
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

// resume asks the stream for the last event that this worker has sent.
func (x *Sender) resume(ctx context.Context) error {
	x.logs = map[string]int64{}
	last, err := x.last(ctx, x.subject("event"))
	if err != nil {
		return err
	}
	if last != nil {
		x.event, _ = strconv.ParseInt(last.Header.Get(eventHeader), 10, 64) // 0 for a header that is no number: all events are sent again
	}
	x.known = true
	return nil
}

// last returns the last message of a subject, or nil if there is none.
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
			e.Msg = "(the message is too long to be sent)"
			data, _ = json.Marshal(e) // it was marshalled above
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
		x.s.notifyStored(x.src.Build)
	}
	return err
}

// notifyStored makes the build's followers read the stream. They do not
// subscribe to the messages themselves, which would reach them before the
// stream has stored them.
func (s *Station) notifyStored(build string) {
	_ = s.js.Conn().Publish(storedSubject(build), nil) // if this fails, they read at the next poll
}

func storedSubject(build string) string { return subject("team", "stored", build) }

// Progress sends a progress event to the followers that are connected now. It
// is not stored.
func (x *Sender) Progress(e event.Event) {
	if data, err := json.Marshal(e); err == nil {
		_ = x.s.Queue.JetStream().Conn().Publish(progressSubject(x.src.Build), data) // a lost event is replaced by the next one
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

// logStep returns the step that a log file is named after.
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
