//go:build !frames

package window

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// TestMain starts the tests again in the zone of the pictures, which show times of day:
// a goroutine of an imported package reads time.Local from the start.
func TestMain(m *testing.M) {
	if os.Getenv("TZ") == "UTC" {
		os.Exit(m.Run())
	}
	self, err := os.Executable()
	if err = errors.Join(err, os.Setenv("TZ", "UTC")); err == nil {
		err = syscall.Exec(self, os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
