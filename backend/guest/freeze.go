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

// freezeScript freezes the file systems that a disk holds, the root last, says
// so, and thaws them when its stdin ends – as it does with the connection –, or
// after $1 seconds whatever happens: the watchdog is in a session of its own
// and outlives all others. Nothing is started between freeze and thaw that
// would have to be written about.
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

// ErrCannotFreeze: the guest's file systems could not be frozen; they are as
// they were.
var ErrCannotFreeze = errors.New("the guest's file systems cannot be frozen")

// freezeWait is how long a freeze may take: data has to be written first.
const freezeWait = 30 * time.Second

// Freeze brings the file systems of a Linux guest to rest: everything is
// written, and whoever writes waits until thaw is called. They thaw by
// themselves after limit, and when the connection ends. thaw, which may be
// called more than once, waits until it is done; its error says that it is not
// known whether the file systems rested until then. Root's rights are needed,
// by `sudo -n`.
func Freeze(ctx context.Context, g Guest, limit time.Duration) (thaw func() error, err error) {
	in, hold := io.Pipe()
	said := &heard{frozen: make(chan struct{}), ended: make(chan struct{})}
	done := make(chan error, 1)
	began := time.Now()
	freeze := AsRoot("sh", "-c", freezeScript, "freeze", strconv.Itoa(int(limit.Seconds())))
	go func() {
		// never cut short: it thaws when its stdin ends
		done <- g.Run(context.WithoutCancel(ctx), Cmd{Argv: append([]string{"sh", "-c", sayEnd, "freeze"}, freeze...), Stdin: in, Stdout: said})
	}()
	thaw = sync.OnceValue(func() error {
		held := time.Since(began)
		_ = hold.Close() // of a pipe: always nil
		switch err := <-done; {
		case err != nil:
			return fmt.Errorf("thaw guest %s: %w", g.Name(), err)
		case held > limit:
			return fmt.Errorf("guest %s: its file systems rested for %s, and were to for %s", g.Name(), limit, held.Round(time.Second))
		}
		return nil
	})
	timeout := time.NewTimer(freezeWait)
	defer timeout.Stop()
	select {
	case <-said.frozen:
		return thaw, nil
	case <-said.ended:
		return nil, fmt.Errorf("%w: %w", ErrCannotFreeze, thaw())
	case <-timeout.C:
		err = fmt.Errorf("%w: not within %s", ErrCannotFreeze, freezeWait)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	_ = thaw() // why it is not frozen says more
	return nil, err
}

// sayEnd runs a command and says when it has ended: Run itself would wait for
// the end of stdin.
const sayEnd = `"$@"
code=$?
echo ended
exit $code`

// heard listens to what the script says.
type heard struct {
	mu            sync.Mutex
	text          []byte
	frozen, ended chan struct{}
}

func (h *heard) Write(p []byte) (int, error) {
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
