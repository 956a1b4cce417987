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

// A removal runs in the background until Close; the directories of a cancelled build
// are removed too, and a failed removal is reported.
func TestSwept(t *testing.T) {
	slow := &slowRemoval{may: make(chan struct{})}
	var failures []error
	g := Swept(slow, func(err error) { failures = append(failures, err) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	if err := g.Remove(ctx, "a"); err != nil || len(slow.took) != 0 {
		t.Fatalf("%v, removed %v", err, slow.took)
	}
	cancel()
	close(slow.may)
	if err := g.Close(); err != nil || len(slow.took) != 1 || len(failures) != 0 {
		t.Errorf("%v, removed %v, failures %v", err, slow.took, failures)
	}
	_ = g.Remove(t.Context(), "bad")
	if err := g.Close(); err != nil || len(failures) != 1 {
		t.Errorf("%v, failures %v", err, failures)
	}
	// one that hangs ends with its deadline
	slow.may = make(chan struct{})
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_ = g.Remove(ctx, "c")
	if err := g.Close(); err != nil || len(failures) != 2 {
		t.Errorf("%v, failures %v", err, failures)
	}
}
