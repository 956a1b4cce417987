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

	"ingot/backend"
)

// The roles that have one process a home each.
const (
	MenuRole   = "menu"
	WindowRole = "window"
)

// Requests that a role answers, one line each. Both answer "ok".
const (
	RequestShow    = "show"    // "show ROUTE": the window goes there; the menu opens it
	RequestFocused = "focused" // the window answers "yes" while it has the focus
)

// askLimit bounds a question to another process of this user.
const askLimit = 2 * time.Second

// Instance is this process as the only one of its role.
type Instance struct {
	place *backend.Place
	l     net.Listener
	conns sync.WaitGroup
	ended chan struct{}
}

// Become makes this process the only one of its role. Where there is one
// already, that one is asked request instead, and Become returns nil and its
// answer. serve is called with each request line, by several goroutines; its
// result is the answer.
func Become(ctx context.Context, role, request string, serve func(string) string) (*Instance, string, error) {
	p, err := backend.FindPlace(role)
	if err != nil {
		return nil, "", err
	}
	for {
		mine, err := p.Take()
		if err != nil {
			return nil, "", err
		}
		if mine {
			break
		}
		answer, err := ask(ctx, p.Socket(), request)
		if err == nil {
			return nil, answer, nil
		}
		select { // it is about to listen, or about to end
		case <-ctx.Done():
			return nil, "", fmt.Errorf("%s: another process has the role and does not answer: %w", role, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
	l, err := p.Listen()
	if err != nil {
		return nil, "", errors.Join(err, p.Leave())
	}
	i := &Instance{place: p, l: l, ended: make(chan struct{})}
	go i.accept(serve)
	return i, "", nil
}

// Close gives the role up and waits for answers under way.
func (i *Instance) Close() error {
	err := i.l.Close()
	<-i.ended
	return errors.Join(err, i.place.Leave())
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
				return // it went away, or said no line
			}
			fmt.Fprintln(c, strings.ReplaceAll(serve(strings.TrimSpace(line)), "\n", " "))
		})
	}
}

// limited ends a connection that sends more than a request.
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

// Ask asks the process of a role. It fails at once where there is none.
func Ask(ctx context.Context, role, request string) (string, error) {
	p, err := backend.FindPlace(role)
	if err != nil {
		return "", err
	}
	return ask(ctx, p.Socket(), request)
}

func ask(ctx context.Context, path, request string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
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
