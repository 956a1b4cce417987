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

// qmpClient implements the QEMU Machine Protocol (docs/interop/qmp-spec.rst): one JSON
// object per line, first a greeting, then commands that are answered in order, with
// events between. The newest events are kept for wait.
type qmpClient struct {
	mu     sync.Mutex
	conn   net.Conn
	r      *bufio.Reader
	events []qmpReply
	begun  []byte // start of a line whose read was interrupted
}

type qmpReply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct{ Class, Desc string }
	Event  string
	Data   json.RawMessage
}

// maxEvents is the number of events that are kept for a later wait.
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

// read reads the next line. The caller holds c.mu.
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

// wait returns the first wanted event, of those kept and those to come. If ctx is done
// first it returns ctx's error; the connection stays usable.
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
			<-woken // otherwise it could interrupt the next command
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
