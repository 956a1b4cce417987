package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// qmpClient speaks the QEMU Machine Protocol (docs/interop/qmp-spec.rst): one
// JSON object a line, a greeting, then commands answered in order, with events
// in between. The newest events are kept for wait.
type qmpClient struct {
	mu     sync.Mutex
	conn   net.Conn
	r      *bufio.Reader
	events []qmpReply
	begun  []byte // of a line whose reading was cut short
}

type qmpReply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct{ Class, Desc string }
	Event  string
	Data   json.RawMessage
}

// maxEvents is how many events are kept that nobody waited for yet.
const maxEvents = 256

const qmpTimeout = 20 * time.Second

func newQMP(conn net.Conn) (*qmpClient, error) {
	c := &qmpClient{conn: conn, r: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(qmpTimeout))
	if _, err := c.r.ReadBytes('\n'); err != nil {
		return nil, fmt.Errorf("qmp greeting: %w", err)
	}
	_, err := c.execute(context.Background(), "qmp_capabilities", nil)
	return c, err
}

// execute runs one command and returns its result.
func (c *qmpClient) execute(ctx context.Context, command string, args map[string]any) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(qmpTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = c.conn.SetDeadline(deadline)
	msg := map[string]any{"execute": command}
	if args != nil {
		msg["arguments"] = args
	}
	if err := json.NewEncoder(c.conn).Encode(msg); err != nil {
		return nil, fmt.Errorf("qmp %s: %w", command, err)
	}
	for {
		reply, err := c.read()
		switch {
		case err != nil:
			return nil, fmt.Errorf("qmp %s: %w", command, err)
		case reply.Error != nil:
			return nil, fmt.Errorf("qmp %s: %w", command, errors.New(reply.Error.Desc))
		case reply.Event == "":
			return reply.Return, nil
		}
		c.events = append(c.events[max(0, len(c.events)-maxEvents+1):], reply)
	}
}

// read takes the next line. c.mu is held.
func (c *qmpClient) read() (reply qmpReply, err error) {
	line, err := c.r.ReadBytes('\n')
	line = append(c.begun, line...)
	if err != nil {
		c.begun = line
		return reply, err
	}
	c.begun = nil
	if err := json.Unmarshal(line, &reply); err != nil {
		return reply, fmt.Errorf("unreadable answer: %w", err)
	}
	return reply, nil
}

// wait returns the first event, of those kept and those to come, that is
// wanted. When ctx ends it returns ctx's error; the connection stays usable.
func (c *qmpClient) wait(ctx context.Context, wanted func(qmpReply) bool) (qmpReply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetDeadline(time.Time{})
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetReadDeadline(time.Now())
		close(woken)
	})
	defer func() {
		if !stop() {
			<-woken // or it would cut the next command short
		}
	}()
	for {
		for i, e := range c.events {
			if wanted(e) {
				c.events = c.events[i+1:]
				return e, nil
			}
		}
		c.events = nil
		reply, err := c.read()
		if err != nil {
			if ctx.Err() != nil {
				return reply, context.Cause(ctx)
			}
			return reply, fmt.Errorf("qmp: %w", err)
		}
		c.events = append(c.events, reply)
	}
}

func (c *qmpClient) close() { _ = c.conn.Close() }
