package linux

import (
	"context"
	"fmt"
	"io"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/guest"
)

// Sanitise removes from a running guest what an image for distribution must not
// contain: keys, accounts that Lima made, ids, histories, logs, and the blocks of
// deleted files. It needs root, or `sudo -n`. Afterwards no account can log in: the
// caller shuts the guest down and copies its disk. The leak scan of that disk verifies
// the result.
func (System) Sanitise(ctx context.Context, g guest.Guest, free family.FreeBlocks, out io.Writer) error {
	text, err := scripts.ReadFile("scripts/sanitise.sh")
	if err != nil {
		return err
	}
	if err := g.Run(ctx, guest.Cmd{Argv: guest.AsRoot("sh", "-c", string(text), "sanitise", string(free)), Stdout: out, Stderr: out}); err != nil {
		return cause.With("image.leftover", fmt.Errorf("sanitise guest %s: %w", g.Name(), err))
	}
	return nil
}
