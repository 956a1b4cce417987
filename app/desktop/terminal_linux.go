package desktop

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
)

// OpenTerminal runs a command in a new terminal window and in a session of its
// own; environ is its whole environment. It returns when the terminal program
// was started.
func OpenTerminal(_ context.Context, argv, environ []string) error {
	full, err := terminalFor(argv, func(name string) bool { _, err := exec.LookPath(name); return err == nil })
	if err != nil {
		return err
	}
	cmd := exec.Command(full[0], full[1:]...)
	cmd.Env = environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	go func() { _ = cmd.Wait() }() // its exit status is not needed
	return nil
}
