package disk

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"ingot/backend/cause"
)

// An image that is refused has the cause of it; other errors stay as they are.
func TestWithCause(t *testing.T) {
	for want, err := range map[string]error{
		"image.in-use": ErrInUse, "image.no-backing": ErrNoBacking, "image.changed": ErrChanged, "image.truncated": ErrTruncated,
		"image.hostile": ErrHostile, "image.missing": os.ErrNotExist, "image.unreadable": ErrUnreadable,
	} {
		if got := WithCause(fmt.Errorf("x: %w", err)); cause.Of(got) != want || !errors.Is(got, err) {
			t.Errorf("%v: %q, want %s", err, cause.Of(got), want)
		}
	}
	plain := errors.New("another")
	if WithCause(plain) != plain || WithCause(nil) != nil {
		t.Error("an error of another kind was changed")
	}
}
