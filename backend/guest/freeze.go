package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

// freezeScript freezes the file systems of a disk, the root last, reports it, and thaws
// them when its stdin ends – as it does when the connection ends – or after $1 seconds:
// the watchdog runs in a session of its own and continues after the others have ended.
// Between freeze and thaw it starts no program that would write to the file systems.
const freezeScript = `set -f
run() {
	command -v fsfreeze >/dev/null || { echo "fsfreeze (util-linux) is missing" >&2; exit 70; }
	mounts=$(awk '$1 ~ /^\/dev\// && $3 ~ /^(ext[234]|xfs|btrfs|f2fs|jfs|reiserfs)$/ && $4 ~ /^rw/ && !s[$1]++ {print length($2), $2}' /proc/mounts | sort -rn | cut -d" " -f2)
	thaw() { for m in $mounts; do fsfreeze -u "$m" 2>/dev/null; done; }
	setsid sh -c 'sleep "$1"; shift; for m; do fsfreeze -u "$m"; done' watchdog "$1" $mounts </dev/null >/dev/null 2>&1 &
	dog=$!
	trap 'thaw; exit 71' HUP INT TERM PIPE
	sync
	for m in $mounts; do fsfreeze -f "$m" || { thaw; kill $dog; exit 72; }; done
	echo frozen
	cat >/dev/null
	thaw
	kill $dog 2>/dev/null || { echo "they had thawed by themselves" >&2; exit 73; }
}
run "$@"`

// ErrCannotFreeze reports that the guest's file systems could not be frozen; they are
// unchanged.
var ErrCannotFreeze = errors.New("the guest's file systems cannot be frozen")

// freezeWait bounds the time of a freeze, which first writes out cached data.
const freezeWait = 30 * time.Second

// Freeze freezes the file systems of a Linux guest: all data is written, and writers
// block until thaw is called. The file systems thaw by themselves after limit, and when
// the connection ends. thaw, which may be called more than once, waits until they have
// thawed; an error means that they may have thawed earlier. Freeze needs root, by `sudo
// -n`.
func Freeze(ctx context.Context, g Guest, limit time.Duration) (thaw func() error, err error) {
	in, hold := io.Pipe()
	output := &freezeOutput{frozen: make(chan struct{}), ended: make(chan struct{})}
	done := make(chan error, 1)
	began := time.Now()
	freeze := AsRoot("sh", "-c", freezeScript, "freeze", strconv.Itoa(int(limit.Seconds())))
	go func() {
		// not cancelled: it thaws when its stdin ends
		done <- g.Run(context.WithoutCancel(ctx), Cmd{Argv: append([]string{"sh", "-c", sayEnd, "freeze"}, freeze...), Stdin: in, Stdout: output})
	}()
	thaw = sync.OnceValue(func() error {
		held := time.Since(began)
		_ = hold.Close() // a pipe's Close returns nil
		switch err := <-done; {
		case err != nil:
			return fmt.Errorf("thaw guest %s: %w", g.Name(), err)
		case held > limit:
			return fmt.Errorf("guest %s: its file systems were frozen for only %s instead of %s", g.Name(), limit, held.Round(time.Second))
		}
		return nil
	})
	timeout := time.NewTimer(freezeWait)
	defer timeout.Stop()
	select {
	case <-output.frozen:
		return thaw, nil
	case <-output.ended:
		return nil, fmt.Errorf("%w: %w", ErrCannotFreeze, thaw())
	case <-timeout.C:
		err = fmt.Errorf("%w: not within %s", ErrCannotFreeze, freezeWait)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	_ = thaw() // the reason for the failed freeze is more useful
	return nil, err
}

// sayEnd runs a command and reports its end: Run itself would wait for the end of
// stdin.
const sayEnd = `"$@"
code=$?
echo ended
exit $code`

// freezeOutput waits for the script's reports.
type freezeOutput struct {
	mu            sync.Mutex
	text          []byte
	frozen, ended chan struct{}
}

func (h *freezeOutput) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p...)
	for word, c := range map[string]chan struct{}{"frozen\n": h.frozen, "ended\n": h.ended} {
		if bytes.Contains(h.text, []byte(word)) {
			select {
			case <-c:
			default:
				close(c)
			}
		}
	}
	return len(p), nil
}
