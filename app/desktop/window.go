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
	"ingot/backend/api"
)

// windowPoll is the time between two requests to a window that is starting, and
// windowLimit how long it may take to answer.
const (
	windowPoll  = 50 * time.Millisecond
	windowLimit = 60 * time.Second
)

// OpenWindow makes the window show a route. If no window is open, it starts a
// window process in a session of its own, so that neither process ends with the
// other. It returns when the window answers. ended receives one value when a
// window that was started here ends; it is nil for a window that was open
// before.
func OpenWindow(ctx context.Context, route string) (ended <-chan error, err error) {
	request := RequestShow + " " + route
	program, args, err := WindowProgram()
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	if _, err := Ask(ctx, WindowRole, request); err == nil {
		if argv := activate(runtime.GOOS, program); argv != nil {
			if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("window: it is open, and stays behind others: %w: %s", err, out)
			}
		}
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p, err := api.FindInstance(WindowRole)
	if err != nil {
		return nil, err
	}
	dir, err := LogDir(p.Data())
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	logFile := filepath.Join(dir, "window.log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	argv := launch(runtime.GOOS, logFile, os.Environ(), program, append(args, route)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log // a file: with a pipe the window would end with this process
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("window: %w", err), log.Close())
	}
	end := make(chan error, 1)
	go func() { // ends with the window, or with this process
		defer log.Close()
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("window: %w: %s (%s)", err, crashReason(log), logFile)
		}
		end <- err
	}()
	return end, appear(ctx, end)
}

// bundleOf returns the bundle of a program on macOS: NAME.app/Contents/MacOS/program.
func bundleOf(goos, program string) (string, bool) {
	bundle := filepath.Dir(filepath.Dir(filepath.Dir(program)))
	return bundle, goos == "darwin" && filepath.Ext(bundle) == ".app"
}

// activate returns the command that brings a running bundle to the front, or nil where
// a window can do so itself. On macOS 14 and later an application comes to the front only
// if the one in front or the system agrees; open(1) asks the system.
func activate(goos, program string) []string {
	if bundle, ok := bundleOf(goos, program); ok {
		return []string{"/usr/bin/open", "-a", bundle}
	}
	return nil
}

// launch returns the command that starts a program and ends with it. On macOS a bundle
// is started by LaunchServices, open(1): a window of a program that another one executes
// stays behind the windows of the application in front. What is started so has the
// user's environment, and gets Ingot's settings of environ.
func launch(goos, log string, environ []string, program string, args ...string) []string {
	bundle, ok := bundleOf(goos, program)
	if !ok {
		return append([]string{program}, args...)
	}
	argv := []string{"/usr/bin/open", "-n", "-W", "-a", bundle, "--stdout", log, "--stderr", log}
	for _, kv := range environ {
		if strings.HasPrefix(kv, "INGOT_") || strings.HasPrefix(kv, "LIMA_HOME=") {
			argv = append(argv, "--env", kv)
		}
	}
	return append(append(argv, "--args"), args...)
}

// appear waits until the window answers.
func appear(ctx context.Context, end chan error) error {
	ctx, cancel := context.WithTimeout(ctx, windowLimit)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("window: it did not start in time: %w", ctx.Err())
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

// crashMarks are the beginnings of the line with which Go's runtime reports a
// crash. The stack follows it.
var crashMarks = []string{"panic: ", "fatal error: ", "SIGSEGV: ", "SIGABRT: ", "SIGBUS: "}

// crashReason returns why a program ended, according to its log: the first line
// of a crash, else the last line.
func crashReason(f io.ReaderAt) string {
	data, _ := io.ReadAll(io.NewSectionReader(f, 0, 1<<20)) // an unreadable log gives an empty reason
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

// WindowProgram returns how to start the window: the program ingot-window
// beside this program, else this program itself. On macOS it is a bundle of its
// own inside this one, with its own id, since two processes of one bundle would
// share the Dock icon and clicks.
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

// Focused reports whether the window has the focus; false if there is no
// window.
func Focused(ctx context.Context) bool {
	answer, err := Ask(ctx, WindowRole, RequestFocused)
	return err == nil && answer == "yes"
}
