package vm

import (
	"context"
	"errors"
	"fmt"

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

// WithForge makes and starts the forge VM, calls work, and stops it again unless another
// process uses it.
func WithForge(ctx context.Context, b *backend.Backend, note func(string), work func() error) error {
	f := b.NewForge()
	release, err := f.Use(ctx, note)
	if err != nil {
		return fmt.Errorf("forge VM: %w", err)
	}
	err = work()
	release()
	return errors.Join(err, f.Close(context.WithoutCancel(ctx)))
}
