package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot/backend/disk/ext4/ext4test"
)

// What a hostile or odd input may take.
const (
	boundRSS  = 256 << 20 // bytes
	boundTime = 5 * time.Second
	silence   = 10 * time.Second // until a message says that the other side sends nothing
)

// within says whether a run took at most limit. That is asked with INGOT_BOUNDS=1 only,
// as by bench/bounds.sh on a computer without other work; else it says whether the run
// ended at all.
func (u used) within(limit time.Duration) bool {
	switch {
	case os.Getenv("INGOT_BOUNDS") == "":
		return u.took < hangs
	case limit == silence:
		return u.took <= limit
	default:
		return u.cpu <= limit // other work of the computer does not count
	}
}

// hangs is when a run counts as one that does not end, and is killed.
const hangs = time.Minute

// used is what a run of the program took, and how it ended.
type used struct {
	code   int
	took   time.Duration
	cpu    time.Duration
	rss    int64 // bytes, the most at a time
	output string
}

// runBounded runs the program as a child, with a limit on its address space so that a
// bound that is missing does no harm. It is killed after hangs.
func runBounded(t *testing.T, env []string, args ...string) used {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	ingot, err := exec.LookPath("ingot") // testscript.Main puts it there
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v 4000000; exec "$0" "$@"`, ingot}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), env...)
	began := time.Now()
	err = cmd.Run()
	u := used{took: time.Since(began), output: out.String()}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.code = cmd.ProcessState.ExitCode()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.rss = usage.Maxrss << 10 // getrusage(2): in KiB
	}
	return u
}

// The table of docs/attacksurface.md: what hostile inputs take at most.
// bench/bounds.sh prints it.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ext4test.Bomb(t, at("bomb.raw"))
	qcow(t, at("bomb.raw"), at("bomb.qcow2"))
	for name, size := range map[string]int64{"24g.raw": 24 << 30, "3t.raw": 3 << 40} {
		if err := errors.Join(os.WriteFile(at(name), nil, 0o600), os.Truncate(at(name), size)); err != nil {
			t.Fatal(err)
		}
	}
	end := make(chan struct{})
	server := httptest.NewServer(hostile(t, end))
	defer server.Close()
	defer close(end)
	type row struct {
		name, args string
		want       string // in the output
		time       time.Duration
	}
	rows := []row{
		{"verify, a gzip bomb of 1 GiB", "verify " + server.URL + "/gzip/", "is not signed", boundTime},
		{"verify, a body without an end", "verify " + server.URL + "/endless/", "publish.oversized", boundTime},
		{"verify, a body that stops", "verify " + server.URL + "/stops/", "sent nothing for", silence},
		{"verify, no answer", "verify " + server.URL + "/silent/", "sent nothing for", silence},
		{"scan, the extent bomb, raw", "scan " + at("bomb.raw"), "more than its image holds", boundTime},
		{"scan, the extent bomb, qcow2", "scan " + at("bomb.qcow2"), "more than its image holds", boundTime},
		{"scan, a sparse raw of 24 GiB", "scan " + at("24g.raw"), "0 findings", boundTime},
		{"scan, a sparse raw of 3 TiB", "scan " + at("3t.raw"), "0 findings", boundTime},
	}
	for _, name := range slices.Sorted(maps.Keys(oddFiles)) {
		make := oddFiles[name]
		home := at("home-" + name)
		if err := errors.Join(os.MkdirAll(evidenceDir(home), 0o700), make(filepath.Join(evidenceDir(home), oddName))); errors.Is(err, os.ErrPermission) {
			t.Logf("%s: needs root: %v", name, err)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row{"status, " + name + " as evidence", "status " + home, "debian-12-arm64", boundTime})
	}
	var table strings.Builder
	for _, r := range rows {
		args := strings.Fields(r.args)
		env := []string{"INGOT_HOME=" + at("home"), "INGOT_KEYCHAIN=off", "INGOT_OWNER_IDLE=1s"}
		if args[0] == "status" {
			env[0], args = "INGOT_HOME="+args[1], args[:1]
		}
		u := runBounded(t, env, args...)
		fmt.Fprintf(&table, "| %s | %.1f s | %.1f s | %d MiB |\n", r.name, u.took.Seconds(), u.cpu.Seconds(), u.rss>>20)
		if !strings.Contains(u.output, r.want) {
			t.Errorf("%s: exit %d, without %q:\n%.2000s", r.name, u.code, r.want, u.output)
		}
		if !u.within(r.time) || u.rss > boundRSS {
			t.Errorf("%s: took %s, %s of a processor, and %d MiB; at most %s and %d MiB", r.name, u.took, u.cpu, u.rss>>20, r.time, boundRSS>>20)
		}
	}
	t.Logf("what hostile inputs take:\n| input | time | of a processor | memory |\n|---|---|---|---|\n%s", table.String())
}

// The control: the same measuring sees a process that takes too much.
func TestBoundsAreSeen(t *testing.T) {
	if u := runBounded(t, nil, "completion", "bash"); u.code != 0 || u.rss < 1<<20 || u.rss > boundRSS {
		t.Errorf("a small command: %+v", u)
	}
	out := exec.Command("head", "-c", fmt.Sprint(boundRSS+(64<<20)), "/dev/zero")
	sort := exec.Command("sort", "-S", "1G")
	var err error
	if sort.Stdin, err = out.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Start(), sort.Run(), out.Wait()); err != nil {
		t.Fatal(err)
	}
	if rss := sort.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10; rss < boundRSS {
		t.Errorf("sort with a line of %d MiB is seen with %d MiB", boundRSS>>20+64, rss>>20)
	}
}

func qcow(t *testing.T, raw, file string) {
	t.Helper()
	ext4test.Tool(t, "", "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, file)
}

// oddFiles make what is no document at a document's path.
var oddFiles = map[string]func(string) error{
	"a named pipe": func(p string) error { return syscall.Mkfifo(p, 0o600) },
	"a device":     func(p string) error { return syscall.Mknod(p, syscall.S_IFCHR|0o600, 1<<8|5) }, // /dev/zero
	"a sparse file of 10 GB": func(p string) error {
		return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 10_000_000_000))
	},
}

const oddName = "image-0123456789ab.json"

func evidenceDir(home string) string {
	return filepath.Join(home, "evidence", "debian-12-arm64", "20260101T000000-aaaaaa", "evidence")
}

// hostile answers as no server of releases does. Silent answers end with end.
func hostile(t *testing.T, end <-chan struct{}) http.Handler {
	t.Helper()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 1 << 10 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	wait := func(r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/gzip/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes()) // the client may leave
	})
	mux.HandleFunc("/endless/", func(w http.ResponseWriter, _ *http.Request) {
		for block := bytes.Repeat([]byte("x"), 1<<16); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/stops/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		wait(r)
	})
	mux.HandleFunc("/silent/", func(_ http.ResponseWriter, r *http.Request) { wait(r) })
	return mux
}
