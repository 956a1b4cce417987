package guest

import (
	"context"
	"errors"
	"testing"
	"time"
)

type slowRemoval struct {
	Guest
	may  chan struct{}
	took []string
}

func (s *slowRemoval) Remove(ctx context.Context, dir string) error {
	select {
	case <-s.may:
	case <-ctx.Done():
		return ctx.Err()
	}
	if dir == "bad" {
		return errors.New("it stays")
	}
	s.took = append(s.took, dir)
	return nil
}

func (s *slowRemoval) Close() error { return nil }

// Removal waits for nobody and nobody for it, but Close; a cancelled build's
// directories go, too, and what stays is told.
func TestSwept(t *testing.T) {
	slow := &slowRemoval{may: make(chan struct{})}
	var told []error
	g := Swept(slow, func(err error) { told = append(told, err) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	if err := g.Remove(ctx, "a"); err != nil || len(slow.took) != 0 {
		t.Fatalf("%v, removed %v", err, slow.took)
	}
	cancel()
	close(slow.may)
	if err := g.Close(); err != nil || len(slow.took) != 1 || len(told) != 0 {
		t.Errorf("%v, removed %v, told %v", err, slow.took, told)
	}
	_ = g.Remove(t.Context(), "bad")
	if err := g.Close(); err != nil || len(told) != 1 {
		t.Errorf("%v, told %v", err, told)
	}
	// one that hangs ends with the deadline
	slow.may = make(chan struct{})
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_ = g.Remove(ctx, "c")
	if err := g.Close(); err != nil || len(told) != 2 {
		t.Errorf("%v, told %v", err, told)
	}
}
