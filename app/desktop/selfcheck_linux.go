package desktop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

const notMac = SkipError("only a Mac has it")

func checkBundle() error                      { return notMac }
func checkNotesAllowed(context.Context) error { return notMac }
func checkBlock() error                       { return notMac }

// checkNote shows a notification. The server of the desktop answers with its number.
func checkNote(_ context.Context, n Notifier) error {
	if n == nil {
		return errors.New("this desktop has no notification server")
	}
	return n.Show(Note{ID: "selfcheck", Title: "Ingot checks itself", Body: "This notification is part of it."})
}

func launchAgain(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, self).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// inFront returns an error unless the window has the focus.
func inFront(ctx context.Context) (string, error) {
	answer, err := Ask(ctx, WindowRole, RequestFocused)
	switch {
	case err != nil:
		return "there is no window", err
	case answer != "yes":
		return "another one has the focus", errors.New(answer)
	}
	return "", nil
}
