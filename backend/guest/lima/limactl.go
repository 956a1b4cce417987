package lima

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ingot/backend/home"
)

// Limactl is the user's limactl. It is safe for concurrent use. limactl does not lock
// instances; Ingot processes that change the same instance wait for each other.
type Limactl struct {
	Path  string
	Major int
	Minor int
	Store Store

	// Limit bounds every call; 0 means the limit of its verb. A call that takes longer
	// is considered hung: its process group is killed.
	Limit time.Duration
}

// Line is a line of limactl's output.
type Line struct {
	Level string // logrus's: info, warning, error, fatal; "" for a line that is not a log line, levelOurs for a message of Ingot
	Text  string
}

// levels are logrus's. Any other level of a line is left out: it could be Ingot's, or
// several lines.
var levels = []string{"trace", "debug", "info", "warning", "error", "fatal", "panic"}

// levelOurs is the level of Ingot's own messages.
const levelOurs = "ingot"

// String returns the line with its source.
func (l Line) String() string {
	if l.Level == levelOurs {
		return l.Text
	}
	return "limactl: " + l.Text
}

// Time limits of limactl. Its own limits are shorter: 10 min for a start without
// another one, twice 3 min for a stop (pkg/instance).
const (
	versionLimit = 10 * time.Second
	startLimit   = 30 * time.Minute // a first start may download an image
	bootLimit    = 15 * time.Minute // part of it, from the host agent's start
	stopLimit    = 7 * time.Minute
	copyLimit    = time.Hour
	deleteLimit  = 5 * time.Minute
	shellLimit   = 2 * time.Minute
	// endGrace is how long a cancelled limactl may take to end after SIGTERM.
	endGrace = 5 * time.Second
)

// Find finds limactl and reads its version. Errors have the causes lima.missing,
// lima.too-old, lima.root and lima.hangs.
func Find(ctx context.Context, s Store) (*Limactl, error) {
	path, err := home.LookTool("limactl")
	if err != nil {
		return nil, &Error{ID: "lima.missing", Msg: "limactl", Err: fmt.Errorf("it is not installed (searched: %s)", home.SearchPath())}
	}
	l := &Limactl{Path: path, Store: s}
	var out head
	if err := l.run(ctx, versionLimit, &out, nil, "--version"); err != nil {
		return nil, err
	}
	if l.Major, l.Minor, err = parseVersion(out.String()); err != nil {
		return nil, &Error{ID: "lima.too-old", Msg: path, Err: err}
	}
	if l.Major < 1 || l.Major == 1 && l.Minor < 2 {
		return nil, &Error{ID: "lima.too-old", Msg: path, Err: fmt.Errorf("it is Lima %d.%d; Ingot needs 2.1 or later, or 1.2", l.Major, l.Minor)}
	}
	return l, nil
}

// head keeps the first bytes of a program's output and discards the rest.
type head struct{ strings.Builder }

const headBytes = 4 << 10

func (h *head) Write(p []byte) (int, error) {
	h.Builder.Write(p[:min(len(p), headBytes-h.Len())])
	return len(p), nil
}

var versionRE = regexp.MustCompile(`\bversion v?(\d+)\.(\d+)`)

// parseVersion parses "limactl version 2.2.0". A build from a checkout prints a commit
// instead ("limactl version 3af1f2b.m") and is refused.
func parseVersion(out string) (major, minor int, err error) {
	m := versionRE.FindStringSubmatch(out)
	if m == nil {
		return 0, 0, fmt.Errorf("it printed %.200q, which is not a version", strings.TrimSpace(out))
	}
	major, _ = strconv.Atoi(m[1])
	minor, _ = strconv.Atoi(m[2])
	return major, minor, nil
}

// change runs a verb that changes something. It does so without a terminal, so that
// limactl asks no questions.
func (l *Limactl) change(ctx context.Context, limit time.Duration, onLine func(Line), args ...string) error {
	return l.run(ctx, limit, nil, onLine, append([]string{"--tty=false", "--log-format=json"}, args...)...)
}

// run runs limactl in a new process group, which is ended when ctx is done and after
// limit. Host agents have their own groups and keep running.
func (l *Limactl) run(ctx context.Context, limit time.Duration, stdout io.Writer, onLine func(Line), args ...string) error {
	if l.Limit != 0 {
		limit = l.Limit
	}
	root, err := l.Store.Root()
	if err != nil {
		return err
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(timed, l.Path, args...)
	cmd.Env = append(home.WithoutSecrets(os.Environ()), "PATH="+home.SearchPath(), "LIMA_HOME="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = endGrace
	log := &logReader{onLine: onLine}
	cmd.Stdout, cmd.Stderr = stdout, log
	if stdout == nil {
		cmd.Stdout = log
	}
	if err := cmd.Start(); err != nil {
		return &Error{ID: "lima.failed", Msg: l.Path, Err: err}
	}
	err = cmd.Wait()
	log.flush()
	if timed.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ignored SIGTERM
	}
	verb := strings.Join(args[min(len(args)-1, l.globals(args)):], " ")
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case timed.Err() != nil:
		return &Error{ID: "lima.hangs", Msg: "limactl " + verb, Err: fmt.Errorf("it did not end within %s and was killed%s", limit, log.last())}
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // a child of it still has the pipe open
		return nil
	case strings.Contains(log.tail(), "must not run as the root"):
		return &Error{ID: "lima.root", Msg: "limactl " + verb, Err: errors.New("limactl refuses to run as root")}
	}
	return &Error{ID: "lima.failed", Msg: "limactl " + verb, Err: errors.New(log.why(err))}
}

// globals returns the number of flags before the verb.
func (l *Limactl) globals(args []string) int {
	for i, a := range args {
		if !strings.HasPrefix(a, "--tty") && !strings.HasPrefix(a, "--log-format") {
			return i
		}
	}
	return 0
}

// logReader splits limactl's stderr into lines, passes them on, and keeps the last ones
// and the errors.
type logReader struct {
	mu     sync.Mutex
	onLine func(Line)
	part   []byte
	lines  []string
	errors []string
}

const keptLines = 12

func (r *logReader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.part = append(r.part, p...)
	for {
		n, line, _ := bufio.ScanLines(r.part, false)
		if n == 0 {
			break
		}
		r.line(string(line))
		r.part = r.part[n:]
	}
	if len(r.part) > 64<<10 { // lines are not that long
		r.line(string(r.part))
		r.part = nil
	}
	return len(p), nil
}

func (r *logReader) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.part) > 0 {
		r.line(string(r.part))
		r.part = nil
	}
}

func (r *logReader) line(s string) {
	l := parseLine(s)
	if l.Text == "" {
		return
	}
	r.lines = append(r.lines, l.Text)[max(0, len(r.lines)+1-keptLines):]
	if l.Level == "error" || l.Level == "fatal" {
		r.errors = append(r.errors, l.Text)[max(0, len(r.errors)+1-keptLines):]
	}
	if r.onLine != nil {
		r.onLine(l)
	}
}

// parseLine parses a line of logrus's JSON; progress bars and the output of children
// are kept unchanged.
func parseLine(s string) Line {
	if i := strings.LastIndexByte(s, '\r'); i >= 0 { // a progress bar that was overwritten
		s = s[i+1:]
	}
	var entry struct{ Level, Msg string }
	if strings.HasPrefix(s, "{") && json.Unmarshal([]byte(s), &entry) == nil && entry.Msg != "" {
		if !slices.Contains(levels, entry.Level) {
			entry.Level = ""
		}
		return Line{entry.Level, strings.TrimSpace(entry.Msg)}
	}
	return Line{"", strings.TrimSpace(s)}
}

func (r *logReader) tail() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func (r *logReader) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == 0 {
		return ""
	}
	return "; its last line: " + r.lines[len(r.lines)-1]
}

// why returns the last logged error, or the last line, or the exit status.
func (r *logReader) why(err error) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, from := range [][]string{r.errors, r.lines} {
		if len(from) > 0 {
			return from[len(from)-1]
		}
	}
	return err.Error()
}
