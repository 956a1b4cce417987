package lima

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot/backend/home"
)

// fake puts a limactl that is a shell script first in PATH, for faults that the real
// one (see test/lima) does not show on request.
func fake(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "limactl"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

// causeIs reports whether err has the cause and contains the words.
func causeIs(err error, id, words string) bool {
	var named interface{ CauseID() string }
	return errors.As(err, &named) && named.CauseID() == id && strings.Contains(err.Error(), words)
}

const v2 = `[ "$1" = --version ] && { echo "limactl version 2.2.0"; exit 0; }; shift 2
`

func TestFind(t *testing.T) {
	s := store(t, nil)
	for name, c := range map[string]struct{ script, cause, words string }{
		"2.2.0":     {`echo "limactl version 2.2.0"`, "", ""},
		"1.2.1":     {`echo "limactl version v1.2.1"`, "", ""},
		"a pre":     {`echo "limactl version 2.3.0-beta.1-12-gabc"`, "", ""},
		"old":       {`echo "limactl version 1.1.9"`, "lima.too-old", "1.1"},
		"very old":  {`echo "limactl version 0.23.2"`, "lima.too-old", "0.23"},
		"a commit":  {`echo "limactl version 3af1f2b.m"`, "lima.too-old", "3af1f2b"},
		"nothing":   {`exit 0`, "lima.too-old", ""},
		"as root":   {`echo "limactl: must not run as the root user" >&2; exit 1`, "lima.root", "root"},
		"fails":     {`echo "dyld: Library not loaded" >&2; exit 134`, "lima.failed", "dyld"},
		"floods":    {`yes ingot | head -c 50000000`, "lima.too-old", "ingot"},
		"no script": {"\x7fELF", "lima.failed", ""},
	} {
		fake(t, c.script)
		l, err := Find(context.Background(), s)
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
		if c.cause == "" && (err != nil || l.Major == 0) || c.cause != "" && !causeIs(err, c.cause, c.words) {
			t.Errorf("%s: %+v, %v; want %q", name, l, err, c.cause)
		}
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	if _, err := home.LookTool("limactl"); err == nil {
		t.Skip("a limactl lies where it is looked for without PATH")
	}
	if _, err := Find(context.Background(), s); !causeIs(err, "lima.missing", "limactl") {
		t.Errorf("missing: %v", err)
	}
}

// A limactl that hangs is ended with its children; so is one whose caller's context is
// done.
func TestHang(t *testing.T) {
	s := store(t, map[string]string{"vm/lima.yaml": sized})
	pidFile := filepath.Join(t.TempDir(), "pid")
	fake(t, v2+`echo '{"level":"info","msg":"about to hang","time":"x"}' >&2; trap '' TERM; sleep 600 & echo $! > `+pidFile+`.new; mv `+pidFile+`.new `+pidFile+`; wait; wait; sleep 600`)
	l, err := Find(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	l.Limit = 300 * time.Millisecond
	began := time.Now()
	if err := l.Start(context.Background(), "vm", nil); !causeIs(err, "lima.hangs", "about to hang") {
		t.Errorf("%v", err)
	}
	if d := time.Since(began); d > time.Minute {
		t.Errorf("it took %s to end it", d)
	}
	gone(t, pidFile)
	l.Limit = 0
	ctx, cancel := context.WithCancel(context.Background())
	if err := os.Remove(pidFile); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(ctx, "vm", func(Line) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// gone checks that the process of a pid file has ended.
func gone(t *testing.T, pidFile string) {
	t.Helper()
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // init reaps it some time later
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d lives on", pid)
}

// An exit code of 0 is checked against the instance's state.
func TestNothingIsBelieved(t *testing.T) {
	s := store(t, map[string]string{"off/lima.yaml": sized, "on/lima.yaml": sized, "safe/lima.yaml": sized, "safe/protected": "", "half/image": "",
		"crash/lima.yaml": sized, "crash/qemu.pid": strconv.Itoa(os.Getpid()), "up/lima.yaml": sized, "up/ha.stdout.log": `{"status":{"running":true,"degraded":true}}`})
	for _, n := range []string{"on", "up"} {
		for _, f := range []string{"ha.pid", "qemu.pid"} {
			if err := os.WriteFile(filepath.Join(s.Dir, n, f), []byte(own(t, filepath.Join(s.Dir, n))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, err := net.Listen("unix", filepath.Join(s.Dir, n, "ha.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	fake(t, v2+"exit 0")
	l, err := Find(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, old := context.Background(), *l
	old.Major, old.Minor = 1, 2
	for name, c := range map[string]struct {
		do           func() error
		cause, words string
	}{
		"start":           {func() error { return l.Start(ctx, "off", nil) }, "lima.not-ready", "Stopped"},
		"start degraded":  {func() error { return l.Start(ctx, "up", nil) }, "lima.not-ready", "degraded"},
		"start broken":    {func() error { return l.Start(ctx, "half", nil) }, "lima.broken", "lima.yaml"},
		"start none":      {func() error { return l.Start(ctx, "none", nil) }, "lima.no-instance", "off"},
		"start a flag":    {func() error { return l.Start(ctx, "--all", nil) }, "lima.bad-name", ""},
		"stop":            {func() error { return l.Stop(ctx, "on", false, nil) }, "lima.failed", "still running"},
		"stop broken":     {func() error { return l.Stop(ctx, "half", false, nil) }, "lima.broken", ""},
		"stop crashed":    {func() error { return l.Stop(ctx, "crash", true, nil) }, "lima.broken", "another program"},
		"delete crashed":  {func() error { return l.Delete(ctx, "crash", true, nil) }, "lima.running", "another program"},
		"create":          {func() error { return l.Create(ctx, "new", "http://x/lima.yaml", nil) }, "lima.no-instance", "new"},
		"create again":    {func() error { return l.Create(ctx, "off", "http://x/lima.yaml", nil) }, "lima.exists", "off"},
		"create odd":      {func() error { return l.Create(ctx, "a b", "http://x/lima.yaml", nil) }, "lima.bad-name", ""},
		"create, no file": {func() error { return l.Create(ctx, "new", "/no/such.yaml", nil) }, "lima.template", "/no/such"},
		"clone":           {func() error { return l.Clone(ctx, "off", "new", nil) }, "lima.no-instance", "new"},
		"clone running":   {func() error { return l.Clone(ctx, "on", "new", nil) }, "lima.running", "stop it first"},
		"clone onto":      {func() error { return l.Clone(ctx, "off", "on", nil) }, "lima.exists", "on"},
		"clone by 1.2":    {func() error { return old.Clone(ctx, "off", "new", nil) }, "lima.too-old", "Lima 2"},
		"delete":          {func() error { return l.Delete(ctx, "off", false, nil) }, "lima.failed", "still exists"},
		"delete running":  {func() error { return l.Delete(ctx, "on", false, nil) }, "lima.running", ""},
		"delete a safe":   {func() error { return l.Delete(ctx, "safe", true, nil) }, "lima.protected", ""},
		"shell":           {func() error { _, _, err := l.ShellArgv("off"); return err }, "lima.not-running", "Stopped"},
		"shell broken":    {func() error { _, _, err := l.ShellArgv("half"); return err }, "lima.broken", ""},
		"open":            {func() error { _, err := OpenConfig(ctx, home.GuestConfig{Name: "off"}); return err }, "lima.not-running", "Stopped"},
		"open starting":   {func() error { _, err := OpenConfig(ctx, home.GuestConfig{Name: "x", Instance: "on"}); return err }, "lima.not-ready", ""},
	} {
		t.Setenv("LIMA_HOME", s.Dir)
		if err := c.do(); !causeIs(err, c.cause, c.words) {
			t.Errorf("%s: %v; want %s, %q", name, err, c.cause, c.words)
		}
	}
	if err := l.Stop(ctx, "off", false, nil); err != nil {
		t.Errorf("stop of a stopped instance: %v", err)
	}
}

func TestLines(t *testing.T) {
	s := store(t, map[string]string{"off/lima.yaml": sized})
	fake(t, v2+`echo "$@" "$LIMA_HOME" >&2
printf '{"level":"info","msg":"one","time":"t"}\n 10%%\r 20%%\n\n{"level":"fatal","msg":"no space left on device"}\nlast' >&2; exit 1`)
	l, err := Find(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = l.Start(context.Background(), "off", func(l Line) { got = append(got, l.Level+":"+l.Text) })
	if !causeIs(err, "lima.failed", "no space left") {
		t.Errorf("%v", err)
	}
	want := ":start --timeout=15m0s off " + s.Dir + "|info:one|:20%|fatal:no space left on device|:last"
	if strings.Join(got, "|") != want {
		t.Errorf("said %q, want %q", strings.Join(got, "|"), want)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"level\":\"info\",\"msg\":\"x\"}\r\n\r\x00{"), 3)
	f.Add([]byte("{\"level\":\"\\nfo\",\"msg\":\"x\"}\n{\"level\":\"ingot\",\"msg\":\"not Ingot's\"}\n"), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		r := &logReader{onLine: func(l Line) {
			if l.Level != "" && !slices.Contains(levels, l.Level) || strings.HasPrefix(l.Text, " ") {
				t.Errorf("%+v", l)
			}
		}}
		n = max(1, n&63)
		for len(b) > 0 {
			k := min(n, len(b))
			_, _ = r.Write(b[:k])
			b = b[k:]
		}
		r.flush()
		if len(r.lines) > keptLines || len(r.errors) > keptLines {
			t.Errorf("%d lines kept", len(r.lines))
		}
	})
}
