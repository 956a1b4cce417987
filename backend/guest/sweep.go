package guest

import (
	"context"
	"sync"
)

// Swept returns a guest whose work directories are removed in the background: a
// kernel's tree has so many files that its removal takes ten seconds and more. Close
// waits for all removals. stays is called, from other goroutines, for each directory
// that could not be removed.
func Swept(g Guest, stays func(error)) Guest { return &swept{Guest: g, stays: stays} }

type swept struct {
	Guest
	stays func(error)
	wg    sync.WaitGroup
}

// Remove returns at once. The removal does not end with ctx, but after its own
// deadline.
func (s *swept) Remove(ctx context.Context, dir string) error {
	bg, cancel := context.WithoutCancel(ctx), context.CancelFunc(func() {})
	if end, ok := ctx.Deadline(); ok {
		bg, cancel = context.WithDeadline(bg, end)
	}
	s.wg.Go(func() {
		defer cancel()
		if err := s.Guest.Remove(bg, dir); err != nil {
			s.stays(err)
		}
	})
	return nil
}

func (s *swept) Close() error {
	s.wg.Wait()
	return s.Guest.Close()
}
