package desktop

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// OpenTerminal runs a command in a window of Terminal, or of the user's program
// for .command files, by a script that removes itself. Of environ only
// LIMA_HOME is used: Terminal sets the rest.
func OpenTerminal(ctx context.Context, argv, environ []string) error {
	f, err := os.CreateTemp("", "ingot-*.command")
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	vars := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return !strings.HasPrefix(kv, "LIMA_HOME=") })
	_, err = f.WriteString(commandFile(argv, vars))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o700)
	}
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	return OpenFile(ctx, f.Name())
}
