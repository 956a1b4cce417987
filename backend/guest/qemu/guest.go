package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"ingot/backend/cause"
	"ingot/backend/guest"
)

// Guest is a machine in which commands run over ssh. Close ends the machine at once;
// Halt shuts it down first. Its methods are safe for concurrent use, but no other may
// run beside Close, Halt and Reboot.
type Guest struct {
	*guest.SSH
	*Machine

	name    string
	login   Login
	console string
}

// NoAnswerError reports that a machine did not answer over ssh.
type NoAnswerError struct{ Err error }

func (e *NoAnswerError) Error() string { return e.Err.Error() }

// ErrorClass returns the class of the error; see package cause.
func (*NoAnswerError) ErrorClass() cause.Class { return cause.Unproven }
func (e *NoAnswerError) Unwrap() error         { return e.Err }

// Open starts a machine and waits until commands can run in it, at most wait. The name
// of the guest is "qemu:" and name. A machine that does not answer is ended; the error is
// a *NoAnswerError with the end of its console.
func Open(ctx context.Context, name string, o Options, login Login, wait time.Duration) (*Guest, error) {
	o.SSHPort = login.Port
	// not cancelled with ctx, so that the machine can be shut down in order
	m, err := Start(context.WithoutCancel(ctx), o)
	if err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, m.Serial) }() // QEMU writes the log; the copy ends with the machine
	g := &Guest{Machine: m, name: name, login: login, console: o.Console}
	if g.SSH, err = g.dial(ctx, wait); err != nil {
		m.Kill()
		return nil, err
	}
	return g, nil
}

// pause is the time between attempts to log in: QEMU accepts connections to the port
// from the start, so there is no event to wait for.
const pause = time.Second

// dial tries to connect until the machine accepts the login.
func (g *Guest) dial(ctx context.Context, wait time.Duration) (*guest.SSH, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, 20*time.Second)
		s, err := guest.DialSSH(attempt, g.login.options(g.name))
		stop()
		if err == nil {
			return s, nil
		}
		select {
		case <-g.Done():
			return nil, &NoAnswerError{cause.With("boot.ended", fmt.Errorf("the machine ended before ssh answered: %s", strings.TrimSpace(g.Stderr()+"\n"+g.consoleEnd())))}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, context.Cause(ctx)
			}
			return nil, &NoAnswerError{cause.With("boot.no-ssh", fmt.Errorf("ssh did not answer within %s: %w; the console's end:\n%s", wait, err, g.consoleEnd()))}
		case <-time.After(pause):
		}
	}
}

// consoleEnd returns the last lines of the console's log.
func (g *Guest) consoleEnd() string {
	text, err := os.ReadFile(g.console)
	if err != nil {
		return err.Error()
	}
	lines := cause.Lines(string(text))
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// Login returns how the machine is reached.
func (g *Guest) Login() Login { return g.login }

// Close closes the connection and ends the machine, as by pulling its plug.
func (g *Guest) Close() error {
	_ = g.SSH.Close() // an error says that the other end has gone, as it may have
	g.Kill()
	return nil
}

// Halt shuts the system down and waits until the machine has ended, at most wait; after
// that it is ended. Only a system that was shut down has written all files to its disk:
// otherwise Halt returns an error. The system is asked by poweroff, or, where the login
// may not run it, by the machine's power button, to which not every system listens.
func (g *Guest) Halt(ctx context.Context, wait time.Duration) error {
	defer g.Kill()
	limited, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("guest qemu:%s did not shut down within %s", g.name, wait))
	defer cancel()
	if err := g.asked(limited, "poweroff"); err != nil {
		if limited.Err() != nil {
			return context.Cause(limited)
		}
		if err := g.PowerDown(limited); err != nil {
			return err
		}
	}
	return g.ended(limited, nil)
}

// ended waits until the machine has ended by a shutdown. failed, which may be nil, gets why
// it will not.
func (g *Guest) ended(ctx context.Context, failed <-chan error) error {
	select {
	case <-g.Done():
		_ = g.SSH.Close() // its other end is gone
		if err := g.Err(); err != nil {
			return fmt.Errorf("guest %s did not shut down, but its machine ended: %w: %s", g.Name(), err, strings.TrimSpace(g.Stderr()))
		}
		return nil
	case err := <-failed:
		return fmt.Errorf("guest %s does not shut down: %w", g.Name(), err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Parting opens a shell that shuts the system down when halt is called, as Halt does. It
// works where no account can log in any more, as after a family's Sanitise. The shell ends
// with the guest, whether or not halt was called.
func (g *Guest) Parting(ctx context.Context) (halt func(ctx context.Context, wait time.Duration) error, err error) {
	shell, err := openShell(ctx, g.SSH, "poweroff")
	if err != nil {
		return nil, fmt.Errorf("guest %s: a shell for its shutdown: %w", g.Name(), err)
	}
	return func(ctx context.Context, wait time.Duration) error {
		defer g.Kill()
		limited, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("guest %s did not shut down within %s", g.Name(), wait))
		defer cancel()
		shell.send()
		return g.ended(limited, shell.failed)
	}, nil
}

// shell is a shell of root in a guest that waits to run one command.
type shell struct {
	hold   *io.PipeWriter
	failed chan error // gets the error of the command, unless the connection ended with it
}

// shellWait bounds the time until the shell is there.
const shellWait = 2 * time.Minute

// openShell opens a shell and waits until it is there.
func openShell(ctx context.Context, g guest.Guest, command string) (*shell, error) {
	in, hold := io.Pipe()
	s := &shell{hold, make(chan error, 1)}
	ready, ended := &firstWrite{done: make(chan struct{})}, make(chan error, 1)
	go func() {
		err := g.Run(context.WithoutCancel(ctx), guest.Cmd{Argv: guest.AsRoot("sh", "-c", "echo ready; read -r go || exit 0; exec "+command), Stdin: in, Stdout: ready})
		_ = hold.Close() // what copies stdin ends
		var exit *guest.ExitError
		if errors.As(err, &exit) && exit.Code > 0 {
			s.failed <- err
		}
		ended <- err
	}()
	limited, cancel := context.WithTimeoutCause(ctx, shellWait, fmt.Errorf("it is not there after %s", shellWait))
	defer cancel()
	select {
	case <-ready.done:
		return s, nil
	case err := <-ended:
		return nil, errors.Join(errors.New("it ended at once"), err)
	case <-limited.Done():
		_ = hold.Close()
		return nil, context.Cause(limited)
	}
}

// send makes the shell run its command. A shell that is gone says so itself.
func (s *shell) send() {
	go func() {
		_, _ = io.WriteString(s.hold, "go\n")
		_ = s.hold.Close()
	}()
}

// firstWrite closes done at the first write.
type firstWrite struct {
	once sync.Once
	done chan struct{}
}

func (w *firstWrite) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.done) })
	return len(p), nil
}

// asked runs a command that ends the system. It is no error if the system ends the
// connection or the command before the command has returned.
func (g *Guest) asked(ctx context.Context, command string) error {
	err := g.Run(ctx, guest.Cmd{Argv: guest.AsRoot(command)})
	var lost *guest.LostError
	var exit *guest.ExitError
	if errors.As(err, &lost) || errors.As(err, &exit) && exit.Code < 0 {
		return nil
	}
	return err
}

// bootID names a boot of Linux, see random(4).
const bootID = "/proc/sys/kernel/random/boot_id"

// Reboot restarts the system and waits until it answers again as another boot, at most
// wait.
func (g *Guest) Reboot(ctx context.Context, wait time.Duration) error {
	before, err := g.bootID(ctx)
	if err != nil {
		return err
	}
	if err := g.asked(ctx, "reboot"); err != nil {
		return err
	}
	for end := time.Now().Add(wait); ; {
		_ = g.SSH.Close() // the system that it leads to is going down
		next, err := g.dial(ctx, time.Until(end))
		if err != nil {
			return err
		}
		g.SSH = next
		now, err := g.bootID(ctx)
		if err == nil && now != before {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Now().After(end) {
			return &NoAnswerError{fmt.Errorf("guest qemu:%s did not restart within %s", g.name, wait)}
		}
		time.Sleep(pause)
	}
}

func (g *Guest) bootID(ctx context.Context) (string, error) {
	var out bytes.Buffer
	if err := g.Run(ctx, guest.Cmd{Argv: []string{"cat", bootID}, Stdout: &out}); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

var _ guest.Guest = (*Guest)(nil)
