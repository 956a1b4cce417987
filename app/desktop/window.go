package desktop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"ingot/app"
	"ingot/backend"
)

// windowPoll is how often a started window is asked whether it is there, and
// windowLimit for how long.
const (
	windowPoll  = 50 * time.Millisecond
	windowLimit = 60 * time.Second
)

// OpenWindow makes the window show a route: one that is open goes there, else
// a window process is started, in a session of its own, so that neither end
// takes the other along. It returns when the window is there. ended gets one
// value when a window that was started here ends; it is nil for one that was
// open before.
func OpenWindow(ctx context.Context, route string) (ended <-chan error, err error) {
	request := RequestShow + " " + route
	if _, err := Ask(ctx, WindowRole, request); err == nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p, err := backend.FindPlace(WindowRole)
	if err != nil {
		return nil, err
	}
	program, args, err := WindowProgram()
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	logFile := filepath.Join(p.Data(), "window.log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	cmd := exec.Command(program, append(args, route)...)
	cmd.Stdout, cmd.Stderr = log, log // a file: a pipe's end would end the window with us
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("window: %w", err), log.Close())
	}
	end := make(chan error, 1)
	go func() { // ends with the window, or with this process
		defer log.Close()
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("window: %w: %s (%s)", err, lastWord(log), logFile)
		}
		end <- err
	}()
	return end, appear(ctx, end)
}

// appear waits until the window answers.
func appear(ctx context.Context, end chan error) error {
	ctx, cancel := context.WithTimeout(ctx, windowLimit)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("window: it did not come up: %w", ctx.Err())
		case err := <-end:
			end <- err // for the caller of OpenWindow
			return err
		case <-time.After(windowPoll):
		}
		if _, err := Ask(ctx, WindowRole, RequestFocused); err == nil {
			return nil
		}
	}
}

// crashMarks begin the line by which Go's runtime says why a program crashed;
// what follows is where.
var crashMarks = []string{"panic: ", "fatal error: ", "SIGSEGV: ", "SIGABRT: ", "SIGBUS: "}

// lastWord is why a program ended, as its log tells: the head of a crash, else
// the last line.
func lastWord(f io.ReaderAt) string {
	data, _ := io.ReadAll(io.NewSectionReader(f, 0, 1<<20)) // what cannot be read says nothing
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for _, l := range lines {
		for _, m := range crashMarks {
			if strings.HasPrefix(l, m) {
				return app.Line(l)
			}
		}
	}
	return app.Line(lines[len(lines)-1])
}

// WindowProgram is how the window's role is started: ingot-window beside this
// program, else this program itself. On macOS it is a bundle of its own inside
// this one, with its own id: two processes of one bundle would share Dock icon
// and clicks.
func WindowProgram() (string, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	if runtime.GOOS == "darwin" {
		nested := filepath.Join(filepath.Dir(self), "..", "Helpers", "Ingot Window.app", "Contents", "MacOS", "ingot-window")
		if isFile(nested) {
			return nested, []string{"window"}, nil
		}
	}
	if beside := filepath.Join(filepath.Dir(self), "ingot-window"); isFile(beside) {
		return beside, []string{"window"}, nil
	}
	return self, []string{"window"}, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Focused asks whether the window has the focus; without a window it has not.
func Focused(ctx context.Context) bool {
	answer, err := Ask(ctx, WindowRole, RequestFocused)
	return err == nil && answer == "yes"
}
