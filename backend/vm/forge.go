package vm

import (
	"context"

	"ingot/backend"
	"ingot/backend/guest/forge"
)

// ForgeName is the name of the forge VM.
const ForgeName = forge.Name

// CreateForge makes the forge VM, in which builds run on a computer that is not Linux.
// It is started by the first build. note gets what is being done.
func CreateForge(ctx context.Context, b *backend.Backend, note func(string)) error {
	return b.NewForge().Make(ctx, note)
}
