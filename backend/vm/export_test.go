package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/guest/guesttest"
	"ingot/backend/guest/lima"
	"ingot/backend/guest/pause"
)

// down is the second half of a stop. It runs in a session of its own, as Lima's host
// agent does, and continues after limactl has ended.
const down = `setsid sh -c ': >'$dir'/told; sleep 1; kill $(cat '$dir'/ha.pid '$dir'/qemu.pid); rm '$dir'/*.pid' >/dev/null 2>&1 &
`

// A VM that was stopped for an export is started again even if the export was
// cancelled, or limactl failed, during the shutdown. A VM that continues to run is left
// running.
func TestStopTakenBack(t *testing.T) {
	old := goDownLimit
	t.Cleanup(func() { goDownLimit = old })
	for name, c := range map[string]struct {
		stop    string
		cancel  bool
		limit   time.Duration
		started bool
	}{
		"cancelled":         {down + "exec sleep 60", true, time.Minute, true},
		"limactl fails":     {down + "exit 1", false, time.Minute, true},
		"it does not stop":  {"exit 1", false, time.Second, false},
		"cancelled at once": {": >$dir/told; exec sleep 60", true, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			goDownLimit = c.limit
			vm, dir := guesttest.RunningVM(t, "qemu", "case $1 in stop) "+c.stop+" ;; start) touch $dir/started ;; esac")
			before, err := Find(vm)
			if err != nil || before.Status != Running {
				t.Fatalf("%+v, %v", before, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var notices []string
			notify := func(msg string) {
				notices = append(notices, msg)
				if c.cancel && strings.HasPrefix(msg, "stopping") {
					go func() { // once limactl has sent the order to stop
						for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
							if _, err := os.Stat(filepath.Join(dir, "told")); err == nil {
								cancel()
							}
						}
					}()
				}
			}
			if _, err := pause.Copy(ctx, lima.Copier{Instance: before, Notify: notify}, lima.CopyStopped, goDownLimit); err == nil || c.cancel && !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "started")); (err == nil) != c.started {
				t.Errorf("started: %v, want %v; it said %q", err == nil, c.started, notices)
			}
		})
	}
}
