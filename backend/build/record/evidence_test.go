package record

import (
	"context"
	"errors"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/event"
)

// What fails once its context has ended was cancelled, with whatever error; what failed
// by itself stays a failure.
func TestEnded(t *testing.T) {
	killed := cause.With("qemu.crashed", errors.New("signal: killed"))
	ctx, cancel := context.WithCancel(t.Context())
	if err := Ended(ctx, killed); !errors.Is(err, killed) || errors.Is(err, context.Canceled) {
		t.Errorf("before the end: %v", err)
	}
	cancel()
	err := Ended(ctx, killed)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, killed) {
		t.Errorf("after it: %v", err)
	}
	pack, perr := cause.Shipped()
	if perr != nil {
		t.Fatal(perr)
	}
	if e := (Home{Pack: pack}).failure(event.StepFinished, "prove", err); e.Outcome != event.Cancelled || e.Cause != "evidence.cancelled" {
		t.Errorf("recorded as %+v", e)
	}
	if err := Ended(ctx, nil); err != nil {
		t.Errorf("a work that ended well: %v", err)
	}
	once := Ended(ctx, context.Canceled)
	if once != context.Canceled { //nolint:errorlint // nothing is added
		t.Errorf("%v", once)
	}
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	if err := Ended(late, killed); errors.Is(err, context.Canceled) {
		t.Errorf("a deadline: %v", err)
	}
}
