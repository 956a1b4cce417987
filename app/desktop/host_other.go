//go:build !linux

package desktop

import (
	"context"
	"time"
)

// TrayHost returns true: the menu bar always exists.
func TrayHost(context.Context, time.Duration) (bool, error) { return true, nil }
