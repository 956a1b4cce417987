package owner

import (
	"testing"
	"time"

	"ingot/backend"
	"ingot/backend/hometest"
	"ingot/backend/jobs"
)

// An owner that has nothing else to do stays until what a killed one left is removed: the
// removal of a kernel's tree may take longer than the idle time. The control: then it goes.
func TestIdleOwnerEndsTheRemoval(t *testing.T) {
	o := &Owner{opt: backend.Options{Forge: hometest.Open(t).NewForge()}, idle: 10 * time.Millisecond, open: map[string]jobs.Job{}, changed: make(chan struct{}, 1)}
	o.reclaiming.Store(true)
	left := make(chan struct{})
	go func() {
		o.untilIdle(t.Context())
		close(left)
	}()
	select {
	case <-left:
		t.Fatal("it left before the removal had ended")
	case <-time.After(300 * time.Millisecond):
	}
	o.reclaiming.Store(false)
	o.notifyChanged()
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Error("it stays")
	}
}
