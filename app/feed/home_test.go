package feed

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"ingot/backend"
	"ingot/backend/client"
)

// A home that cannot be opened is said, and tried again.
func TestHomeThatDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tries, told := 0, 0
		broken := errors.New("config.yaml:3: wrong")
		h := &Home{Open: func() (*backend.Backend, error) { tries++; return nil, broken }}
		h.Watch(ctx, client.Watcher{Gone: func(err error) {
			if !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
			if told++; told == 3 {
				cancel()
			}
		}})
		if tries != 3 || told != 3 {
			t.Errorf("tried %d times, told %d times", tries, told)
		}
		if _, err := h.Status(ctx); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	})
}
