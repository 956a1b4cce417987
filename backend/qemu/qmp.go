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
// in between, which we pass over.
type qmpClient struct {
	mu   sync.Mutex
	conn net.Conn
	r    *bufio.Reader
}

type qmpReply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct{ Class, Desc string }
	Event  string
}

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
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("qmp %s: %w", command, err)
		}
		var reply qmpReply
		if err := json.Unmarshal(line, &reply); err != nil {
			return nil, fmt.Errorf("qmp %s: unreadable answer: %w", command, err)
		}
		switch {
		case reply.Error != nil:
			return nil, fmt.Errorf("qmp %s: %w", command, errors.New(reply.Error.Desc))
		case reply.Event == "":
			return reply.Return, nil
		}
	}
}

func (c *qmpClient) close() { _ = c.conn.Close() }
