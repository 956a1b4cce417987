package desktop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"ingot/backend/api"
)

// Roles. Each has at most one process per home.
const (
	MenuRole   = "menu"
	WindowRole = "window"
)

// Requests to the process of a role, one line each.
const (
	RequestShow    = "show"    // "show ROUTE": the window shows the route; the menu opens the window. The answer is "ok"
	RequestFocused = "focused" // the window answers "yes" while it has the focus
	RequestOpen    = "open"    // "open FILE": the window checks an image or a log
	RequestClose   = "close"   // the window closes
)

// askLimit bounds a request to another process of this user.
const askLimit = 2 * time.Second

// Instance is this process as the only one of its role.
type Instance struct {
	lock  *api.Instance
	l     net.Listener
	conns sync.WaitGroup
	ended chan struct{}
}

// Become makes this process the only one of its role. If another process has
// the role, Become sends request to it and returns nil and the answer. serve is
// called with each request line, by several goroutines; its result is the
// answer.
func Become(ctx context.Context, role, request string, serve func(string) string) (*Instance, string, error) {
	p, err := api.FindInstance(role)
	if err != nil {
		return nil, "", err
	}
	for {
		locked, err := p.TryLock()
		if err != nil {
			return nil, "", err
		}
		if locked {
			break
		}
		answer, err := ask(ctx, p.Socket(), request)
		if err == nil {
			return nil, answer, nil
		}
		select { // the other process is starting or ending
		case <-ctx.Done():
			return nil, "", fmt.Errorf("%s: another process has this role and does not answer: %w", role, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
	l, err := p.Listen()
	if err != nil {
		return nil, "", errors.Join(err, p.Release())
	}
	i := &Instance{lock: p, l: l, ended: make(chan struct{})}
	go i.accept(serve)
	return i, "", nil
}

// Close ends the role and waits for the requests in progress.
func (i *Instance) Close() error {
	err := i.l.Close()
	<-i.ended
	return errors.Join(err, i.lock.Release())
}

func (i *Instance) accept(serve func(string) string) {
	defer close(i.ended)
	defer i.conns.Wait()
	for {
		c, err := i.l.Accept()
		if err != nil {
			return // closed
		}
		i.conns.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(askLimit)) // a Unix socket takes deadlines
			line, err := bufio.NewReader(&limited{c, 4096}).ReadString('\n')
			if err != nil {
				return // it disconnected before it sent a line
			}
			fmt.Fprintln(c, strings.ReplaceAll(serve(strings.TrimSpace(line)), "\n", " "))
		})
	}
}

// limited returns an error for a connection that sends more than a request.
type limited struct {
	net.Conn
	left int
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("too long")
	}
	n, err := l.Conn.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}

// Ask sends a request to the process of a role. It fails at once if there is
// none.
func Ask(ctx context.Context, role, request string) (string, error) {
	p, err := api.FindInstance(role)
	if err != nil {
		return "", err
	}
	return ask(ctx, p.Socket(), request)
}

func ask(ctx context.Context, path, request string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c, err := api.Dial(ctx, path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askLimit)) // a Unix socket takes deadlines
	if _, err := fmt.Fprintln(c, request); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(answer), err
}
