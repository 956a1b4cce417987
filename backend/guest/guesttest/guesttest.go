// Package guesttest is the conformance suite of guests: what every kind of guest.Guest
// must do, so that a recipe runs unchanged in all of them.
package guesttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot/backend/event"
	"ingot/backend/guest"
)

// Run runs the suite. open opens the guest again for each test; the guest is a Linux
// system.
func Run(t *testing.T, open func(t *testing.T) guest.Guest) {
	tests := map[string]func(*testing.T, guest.Guest){
		"exit codes": exitCodes, "full log": fullLog, "streams": streams, "arguments": arguments, "stdin, env, dir": surroundings,
		"cancel": cancel, "killed": killed, "long line": longLine, "put and get": putAndGet, "sparse": sparse, "missing file": missingFile,
		"work directories": workDirs, "reclaim": reclaim, "mounts": mounts, "facts": facts,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := open(t)
			t.Cleanup(func() {
				if err := g.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test(t, g)
		})
	}
}

func sh(script string, out io.Writer, args ...string) guest.Cmd {
	return guest.Cmd{Argv: append([]string{"sh", "-c", script, "sh"}, args...), Stdout: out}
}

func exitCodes(t *testing.T, g guest.Guest) {
	ctx := context.Background()
	if err := g.Run(ctx, sh("exit 0", nil)); err != nil {
		t.Errorf("exit 0: %v", err)
	}
	var exit *guest.ExitError
	if err := g.Run(ctx, sh("echo why >&2; exit 7", nil)); !errors.As(err, &exit) || exit.Code != 7 || !strings.Contains(exit.Tail, "why") {
		t.Errorf("exit 7: %v", err)
	}
	if err := g.Run(ctx, guest.Cmd{Argv: []string{"no-such-program-here"}}); err == nil {
		t.Error("a missing program was no error")
	}
	if err := g.Run(ctx, guest.Cmd{}); err == nil {
		t.Error("an empty command was no error")
	}
}

// full is a writer that always fails, like a file on a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// fullLog: a command whose output cannot be written still returns its error message; if
// it passes, Run returns an error, and if it prints forever, it is ended.
func fullLog(t *testing.T, g guest.Guest) {
	ctx := context.Background()
	run := func(script string) error {
		return g.Run(ctx, guest.Cmd{Argv: []string{"sh", "-c", script}, Stdout: full{}, Stderr: full{}})
	}
	var exit *guest.ExitError
	if err := run("echo one >&2; sleep 0.3; echo two; echo why >&2; exit 7"); !errors.As(err, &exit) || exit.Code != 7 || !strings.Contains(exit.Tail, "why") {
		t.Errorf("a command that fails: %v", err)
	}
	if err := run("echo one"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a command that passes: %v", err)
	}
	if err := run("while echo more; do :; done; exit 3"); err == nil {
		t.Error("a command that says more and more passed")
	}
}

// streams: stdout and stderr are separate, and the first line arrives before the
// command ends.
func streams(t *testing.T, g guest.Guest) {
	r, w := io.Pipe()
	var stderr bytes.Buffer
	c := sh("echo first; echo other >&2; read x; echo last", w)
	stdinR, stdinW := io.Pipe()
	c.Stdin, c.Stderr = stdinR, &stderr
	done := make(chan error, 1)
	go func() { done <- g.Run(context.Background(), c); _ = w.Close() }()
	buf := make([]byte, 6)
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "first\n" {
		t.Fatalf("first line: %q, %v", buf, err)
	}
	if _, err := stdinW.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	_ = stdinW.Close()
	rest, _ := io.ReadAll(r)
	if err := <-done; err != nil || string(rest) != "last\n" || stderr.String() != "other\n" {
		t.Errorf("rest %q, stderr %q, %v", rest, stderr.String(), err)
	}
}

func arguments(t *testing.T, g guest.Guest) {
	args := []string{"plain", "with space", "", "quote'\"back`tick", "$HOME ${x} $(id)", "new\nline", "ümläut 漢字", "-n", "*", "a\\b"}
	var out bytes.Buffer
	if err := g.Run(context.Background(), sh(`for a in "$@"; do printf '%s\0' "$a"; done`, &out, args...)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(out.String(), "\x00"), "\x00"); strings.Join(got, "|") != strings.Join(args, "|") {
		t.Errorf("arguments came as %q", got)
	}
}

func surroundings(t *testing.T, g guest.Guest) {
	var out bytes.Buffer
	c := guest.Cmd{Argv: []string{"sh", "-c", `pwd; echo "$A $B"; cat`}, Dir: "/usr", Env: []string{"A=one two", "B=$x'y"}, Stdin: strings.NewReader("input"), Stdout: &out}
	if err := g.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if out.String() != "/usr\none two $x'y\ninput" {
		t.Errorf("got %q", out.String())
	}
}

// stillSleep prints the processes that cancel's commands left: with the time as an
// argument of its own, or in a script. It must not find itself.
const stillSleep = `n=${1#x}; grep -alz -e "[s]leep $n" -e "^$n\$" /proc/[0-9]*/cmdline 2>/dev/null; true`

// cancel must end grandchildren too; they sleep for a unique time.
func cancel(t *testing.T, g guest.Guest) {
	secs := fmt.Sprintf("86%03d.%d", os.Getpid()%1000, time.Now().UnixNano()%1e6)
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- g.Run(ctx, sh("sleep $1 & sh -c \"trap '' TERM; sleep $1\" & echo up; wait", w, secs))
		_ = w.Close()
	}()
	if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stop()
	go func() { _, _ = io.Copy(io.Discard, r) }()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled command: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a cancelled command does not return")
	}
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("cancel took %s", d)
	}
	gone(t, g, secs)
}

// gone waits until no command of the suite with the time is left.
func gone(t *testing.T, g guest.Guest, secs string) {
	t.Helper()
	for range 50 { // the kernel reaps killed processes some time later
		var out bytes.Buffer
		if err := g.Run(context.Background(), sh(stillSleep, &out, "x"+secs)); err != nil {
			t.Fatal(err)
		}
		if out.Len() == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("grandchildren live on")
}

// killed: what a command has started does not outlive it when it is killed itself, and
// its work directory can be removed at once.
func killed(t *testing.T, g guest.Guest) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a removal beside what still writes there may not end
	defer cancel()
	secs := fmt.Sprintf("85%03d.%d", os.Getpid()%1000, time.Now().UnixNano()%1e6)
	dir, err := g.TempDir(ctx, "killed")
	if err != nil {
		t.Fatal(err)
	}
	c := sh(`{ while :; do echo > f$((i += 1)); done & sleep "$1"; } >/dev/null 2>&1 & sleep 0.5; kill -KILL $$`, nil, secs)
	c.Dir = dir
	if err := g.Run(ctx, c); err == nil {
		t.Error("a command that was killed passed")
	}
	if err := g.Remove(ctx, dir); err != nil {
		t.Errorf("its work directory: %v", err)
	}
	gone(t, g, secs)
}

func longLine(t *testing.T, g guest.Guest) {
	var out bytes.Buffer
	if err := g.Run(context.Background(), sh("head -c 10000000 /dev/zero | tr '\\0' x", &out)); err != nil || out.Len() != 10000000 {
		t.Errorf("10 MB line: %d bytes, %v", out.Len(), err)
	}
}

func putAndGet(t *testing.T, g guest.Guest) {
	ctx := context.Background()
	dir, err := g.TempDir(ctx, "conformance")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Remove(ctx, dir) }()
	random := make([]byte, 5<<20+3)
	_, _ = rand.Read(random)
	for name, data := range map[string][]byte{"empty": {}, "random": random} {
		src, back := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "deep", "back")
		if err := os.WriteFile(src, data, 0o600); err != nil {
			t.Fatal(err)
		}
		dst := dir + "/new dir/" + name
		if err := g.Put(ctx, src, dst, 0o750); err != nil {
			t.Fatal(err)
		}
		var mode bytes.Buffer
		if err := g.Run(ctx, sh(`ls -l "$1" | cut -c1-10; ls -A "$(dirname "$1")" | wc -l`, &mode, dst)); err != nil || !strings.HasPrefix(mode.String(), "-rwxr-x---") {
			t.Errorf("%s: mode %q, %v", name, mode.String(), err)
		}
		if err := g.Get(ctx, dst, back); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(back); !bytes.Equal(got, data) {
			t.Errorf("%s: came back with %d other bytes", name, len(got))
		}
	}
}

func sparse(t *testing.T, g guest.Guest) {
	ctx := context.Background()
	dir, err := g.TempDir(ctx, "conformance")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Remove(ctx, dir) }()
	if err := g.Run(ctx, sh(`truncate -s 96M "$1" && printf end | dd of="$1" bs=1 seek=50331648 conv=notrunc 2>/dev/null`, nil, dir+"/disk")); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(t.TempDir(), "disk")
	if err := g.Get(ctx, dir+"/disk", back); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(t.TempDir(), "taken")
	if err := g.Take(ctx, dir+"/disk", taken); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{back, taken} {
		var st syscall.Stat_t
		if err := syscall.Stat(file, &st); err != nil || st.Size != 96<<20 || st.Blocks*512 > 1<<20 {
			t.Errorf("%s: size %d, allocated %d, %v", filepath.Base(file), st.Size, st.Blocks*512, err)
		}
	}
	a, aerr := os.ReadFile(back)
	b, berr := os.ReadFile(taken)
	if aerr != nil || berr != nil || !bytes.Equal(a, b) || !bytes.Contains(b, []byte("end")) {
		t.Errorf("got and taken differ: %v %v", aerr, berr)
	}
}

func missingFile(t *testing.T, g guest.Guest) {
	err := g.Get(context.Background(), "/no/such/file", filepath.Join(t.TempDir(), "x"))
	if err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("get of a missing file: %v", err)
	}
	err = g.Take(context.Background(), "/no/such/file", filepath.Join(t.TempDir(), "x"))
	if err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("take of a missing file: %v", err)
	}
}

func workDirs(t *testing.T, g guest.Guest) {
	ctx := context.Background()
	a, err := g.TempDir(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	b, err := g.TempDir(ctx, "one")
	if err != nil || a == b {
		t.Fatalf("%s, %s, %v", a, b, err)
	}
	for _, foreign := range []string{"/", "/usr", "", a + "/../..", filepath.Dir(a)} {
		if err := g.Remove(ctx, foreign); err == nil {
			t.Errorf("Remove(%q) was done", foreign)
		}
	}
	for _, d := range []string{a, b} {
		if err := g.Remove(ctx, d); err != nil {
			t.Error(err)
		}
		if err := g.Run(ctx, sh(`[ ! -e "$1" ]`, nil, d)); err != nil {
			t.Errorf("%s is still there", d)
		}
	}
}

// mounts: what is mounted below a work directory is unmounted before the directory is
// removed, in both ways, and its files remain.
func mounts(t *testing.T, g guest.Guest) {
	ctx := context.Background()
	var out strings.Builder
	if err := g.Run(ctx, sh(`id -u; uname -s`, &out)); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(out.String()) != "0\nLinux" {
		t.Skipf("only root of a Linux guest can mount: %q", out.String())
	}
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "precious"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, remove := range map[string]func(dir string) error{
		"remove":  func(dir string) error { return g.Remove(ctx, dir) },
		"reclaim": func(dir string) error { return guest.Reclaim(ctx, g, dir) },
	} {
		dir, err := g.TempDir(ctx, "mounts")
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Run(ctx, sh(`mkdir -p "$1/a b/c" && mount --bind "$2" "$1/a b/c"`, nil, dir, host)); err != nil {
			t.Skipf("this guest cannot mount: %v", err)
		}
		if err := remove(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := g.Run(ctx, sh(`[ ! -e "$1" ] && ! grep -F "$1" /proc/mounts && [ -e "$2/precious" ]`, nil, dir, host)); err != nil {
			t.Errorf("%s: the directory or its mount stays, or a mounted file is gone: %v", name, err)
		}
	}
}

// reclaim: what a dead process left is ended and removed, and nothing else.
func reclaim(t *testing.T, g guest.Guest) {
	ctx := context.Background()
	children := event.Children{Dir: t.TempDir()}
	g = guest.Tracked(g, children)
	dir, err := g.TempDir(ctx, "left")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(ctx, sh(`cd "$1" && mkdir deep && cd deep && { setsid sh -c 'echo $$ > pid; exec sleep 600' < /dev/null > /dev/null 2>&1 & } && while [ ! -s pid ]; do sleep 0.1; done`, nil, dir)); err != nil {
		t.Fatal(err)
	}
	var pid strings.Builder
	if err := g.Run(ctx, sh(`cat "$1/deep/pid"`, &pid, dir)); err != nil {
		t.Fatal(err)
	}
	recorded := func() int {
		files, err := filepath.Glob(filepath.Join(children.Dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	if recorded() != 1 {
		t.Errorf("%d directories are recorded, want 1", recorded())
	}
	for _, foreign := range []string{"/", "/etc", dir + "/..", dir + "/../ingot-a-b", filepath.Dir(dir), "ingot-left-1"} {
		if err := guest.Reclaim(ctx, g, foreign); err == nil {
			t.Errorf("Reclaim(%q) was done", foreign)
		}
	}
	if err := guest.Reclaim(ctx, g, dir); err != nil {
		t.Error(err)
	}
	if err := g.Run(ctx, sh(`[ ! -e "$1" ] && ! readlink "/proc/$2/cwd" >/dev/null 2>&1`, nil, dir, strings.TrimSpace(pid.String()))); err != nil {
		t.Errorf("%s or process %s is still there", dir, pid.String())
	}
	if err := guest.Reclaim(ctx, g, dir); err != nil {
		t.Errorf("a directory that is gone: %v", err)
	}
	if err := g.Remove(ctx, dir); err != nil || recorded() != 0 {
		t.Errorf("%v; %d directories are recorded, want 0", err, recorded())
	}
}

func facts(t *testing.T, g guest.Guest) {
	f, err := g.Facts(context.Background())
	if err != nil || f.OS != "linux" || f.CPUs < 1 || f.MemBytes < 64<<20 || f.Kernel == "" || f.User == "" || f.WorkFreeBytes == 0 || f.ClockSkew.Abs() > time.Minute {
		t.Errorf("%+v, %v", f, err)
	}
}
