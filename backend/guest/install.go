package guest

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
)

// Install runs a command of a package manager in a guest, as root or through sudo
// without a password. It gets this computer's proxies, and asks no questions. Its output
// goes to out.
func Install(ctx context.Context, g Guest, command string, out io.Writer) error {
	argv := slices.Concat([]string{"env", "DEBIAN_FRONTEND=noninteractive"}, ProxyEnv(os.Environ()), []string{"sh", "-c", command})
	if err := g.Run(ctx, Cmd{Argv: AsRoot(argv...), Stdout: out, Stderr: out}); err != nil {
		return fmt.Errorf("in guest %s: %s: %w", g.Name(), command, err)
	}
	return nil
}
