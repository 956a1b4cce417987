//go:build !linux

package desktop

import (
	"context"
	"time"
)

// TrayHost is true: the menu bar is always there.
func TrayHost(context.Context, time.Duration) (bool, error) { return true, nil }
