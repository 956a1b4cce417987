// Package guest runs the commands of builds.
//
// A guest has a POSIX shell: the local Linux host, a machine over ssh, a Lima instance
// (package lima). All commands and files of the kernel and image steps go through the
// Guest interface; one conformance suite (guesttest) tests every kind.
package guest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"ingot/backend/home"
)

// Guest is a system in which commands run. Its methods are safe for concurrent use.
type Guest interface {
	// Name returns "local", "ssh:NAME" or "lima:NAME".
	Name() string
	// Facts reads the current facts of the guest.
	Facts(ctx context.Context) (Facts, error)
	// Run runs a command and streams its output; nil means exit status 0, a command
	// that failed is an *ExitError. When ctx is done, Run ends the command's whole
	// process group and then returns ctx's error; it also ends what is left of the group
	// of a command that failed.
	Run(ctx context.Context, cmd Cmd) error
	// Put copies a file of this computer to an absolute path in the guest and creates
	// parent directories. The file appears complete or not at all.
	Put(ctx context.Context, src, dst string, mode os.FileMode) error
	// Get copies a file of the guest to this computer in the same way; blocks of zeros
	// become holes.
	Get(ctx context.Context, src, dst string) error
	// Take is Get for a file that the guest does not need any more: it may be moved,
	// which keeps its holes.
	Take(ctx context.Context, src, dst string) error
	// TempDir creates a private work directory in the guest.
	TempDir(ctx context.Context, label string) (string, error)
	// Remove deletes a directory that TempDir created, with its content.
	Remove(ctx context.Context, dir string) error
	// Close frees the resources of the guest; it ends no command.
	Close() error
}

// Cmd is a command. Env adds KEY=VALUE pairs. Argv and Env must not contain a secret,
// since other users of the guest can read them.
type Cmd struct {
	Argv           []string
	Dir            string
	Env            []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer // nil discards the output
	// CPU, which may be nil, is called with the processor time, user and system, of the
	// command and of the children that it waited for. Only the local guest calls it.
	CPU func(time.Duration)
}

// AsRoot returns a command that runs argv as root: directly if the guest's user is
// root, else by sudo without a password prompt.
func AsRoot(argv ...string) []string {
	return append([]string{"sh", "-c", `if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec sudo -n "$@"`, "root"}, argv...)
}

// Facts describe a guest. Sizes are in bytes; Arch is Go's name.
type Facts struct {
	OS, Arch, Kernel        string
	DistroID, DistroVersion string
	CPUs                    int
	MemBytes, WorkFreeBytes uint64
	User                    string
	Root                    bool
	ClockSkew               time.Duration // guest's clock minus this computer's
}

// ExitError reports that a command failed.
type ExitError struct {
	Argv []string
	Code int    // -1 if a signal ended it
	Tail string // the last lines of its stderr, or of its stdout if stderr is empty
}

func (e *ExitError) Error() string {
	name := ""
	if len(e.Argv) > 0 {
		name = strings.Join(e.Argv[:min(2, len(e.Argv))], " ")
	}
	return fmt.Sprintf("%s: exit status %d: %s", name, e.Code, strings.TrimSpace(e.Tail))
}

// LostError reports that the connection to the guest broke.
type LostError struct {
	Guest string
	Err   error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the connection to guest %s was lost: %v", e.Guest, e.Err)
}
func (e *LostError) Unwrap() error { return e.Err }

// CauseID returns the cause.
func (e *LostError) CauseID() string { return "guest.lost" }

// tail passes bytes on and keeps the last few KiB. If the writer fails, as a log on a
// full disk does, the command is not ended at once: otherwise a closed pipe would end
// it, and its own error message would be lost.
type tail struct {
	mu      sync.Mutex
	w       io.Writer
	kept    []byte
	err     error  // of w
	dropped int    // bytes since err
	give    func() // called once dropped exceeds dropMost; nil makes Write fail, which closes a pipe
}

const (
	tailBytes = 4 << 10
	dropMost  = 1 << 20 // bytes of output to discard before the command is ended
)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	if len(t.kept) > 2*tailBytes {
		t.kept = append([]byte(nil), t.kept[len(t.kept)-tailBytes:]...)
	}
	switch {
	case t.err != nil:
		if t.dropped += len(p); t.dropped > dropMost {
			if t.give == nil {
				return 0, t.err
			}
			t.give()
		}
	case t.w != nil:
		_, t.err = t.w.Write(p)
	}
	return len(p), nil
}

// failed returns why the command's output could not be written, or nil.
func (t *tail) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// lines returns the last 20 complete lines.
func (t *tail) lines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := bytes.Split(bytes.TrimRight(t.kept, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-20):], []byte("\n")))
}

// outputs wraps a command's writers; report returns the tail for an ExitError.
func outputs(c Cmd) (stdout, stderr *tail, report func() string) {
	stdout, stderr = &tail{w: c.Stdout}, &tail{w: c.Stderr}
	return stdout, stderr, func() string {
		if s := stderr.lines(); strings.TrimSpace(s) != "" {
			return s
		}
		return stdout.lines()
	}
}

// ProxyEnv returns this process's proxy settings for a command in a guest that uses the
// network. A proxy whose address contains a password is left out, since other users of
// the guest could read it.
func ProxyEnv(environ []string) []string {
	var out []string
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		switch strings.ToLower(name) {
		case "http_proxy", "https_proxy", "all_proxy", "no_proxy":
			if value != "" && home.PlainProxy(value) {
				out = append(out, kv)
			}
		}
	}
	return out
}

// factsScript prints KEY=VALUE lines on any POSIX system.
const factsScript = `echo "os=$(uname -s)"; echo "machine=$(uname -m)"; echo "kernel=$(uname -r)"
echo "uid=$(id -u)"; echo "user=$(id -un)"; echo "now=$(date +%s)"
echo "cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)"
[ -r /proc/meminfo ] && sed -n 's/^MemTotal: *\([0-9]*\) kB/memkb=\1/p' /proc/meminfo
[ -r /etc/os-release ] && sed -n -e 's/^ID=/distro=/p' -e 's/^VERSION_ID=/version=/p' /etc/os-release
d=$1; while [ ! -e "$d" ]; do d=$(dirname "$d"); done # the work directory is made at its first use
echo "freekb=$(df -Pk "$d" 2>/dev/null | awk 'NR==2 {print $4}')"
true
`

// readFacts runs factsScript in the guest.
func readFacts(ctx context.Context, g Guest, workDir string) (Facts, error) {
	var out bytes.Buffer
	before := time.Now()
	if err := g.Run(ctx, Cmd{Argv: []string{"sh", "-c", factsScript, "facts", workDir}, Stdout: &out}); err != nil {
		return Facts{}, fmt.Errorf("facts of guest %s: %w", g.Name(), err)
	}
	v := map[string]string{}
	for _, l := range strings.Split(out.String(), "\n") {
		if key, val, ok := strings.Cut(l, "="); ok {
			v[key] = strings.Trim(strings.TrimSpace(val), `"`)
		}
	}
	num := func(k string) uint64 { n, _ := strconv.ParseUint(v[k], 10, 64); return n } // absent means 0: not known
	f := Facts{OS: strings.ToLower(v["os"]), Arch: goArch(v["machine"]), Kernel: v["kernel"], DistroID: v["distro"], DistroVersion: v["version"],
		CPUs: int(num("cpus")), MemBytes: num("memkb") << 10, WorkFreeBytes: num("freekb") << 10, User: v["user"], Root: v["uid"] == "0"}
	if now := num("now"); now > 0 {
		f.ClockSkew = time.Unix(int64(now), 0).Sub(before).Truncate(time.Second)
	}
	return f, nil
}

func goArch(machine string) string {
	if a, ok := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "amd64": "amd64"}[machine]; ok {
		return a
	}
	return machine
}

// made records the directories that TempDir returned.
type made struct {
	mu   sync.Mutex
	dirs map[string]bool
}

func (m *made) add(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs == nil {
		m.dirs = map[string]bool{}
	}
	m.dirs[dir] = true
}

// check refuses a path that TempDir did not return: Remove deletes trees.
func (m *made) check(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := range m.dirs {
		if dir == d || strings.HasPrefix(dir, d+"/") && !strings.Contains(dir, "/..") {
			return nil
		}
	}
	return fmt.Errorf("remove %s: it is not a work directory of this guest", dir)
}
