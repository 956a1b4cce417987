//go:build e2e

package app

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// bound is a limit from the environment.
func bound(t *testing.T, name string, otherwise float64) float64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		t.Fatalf("%s=%q: %v", name, v, err)
	}
	return f
}

// within prints a figure with its limit.
func within(t *testing.T, what string, got, most float64, unit string) {
	t.Helper()
	t.Logf("%s: %.3g %s (limit %g)", what, got, unit, most)
	if got > most {
		t.Errorf("%s is above its limit", what)
	}
}

// What the menu costs; `make bench-app`.
func TestCost(t *testing.T) {
	idle, err := strconv.Atoi(os.Getenv("INGOT_BENCH"))
	if err != nil {
		t.Skip("make bench-app")
	}
	h := newHome(t)
	panel := startHost(t)
	var launches []float64
	for range 11 {
		app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
		i := panel.icon(t)
		launches = append(launches, float64(i.at.Sub(app.start).Microseconds())/1000)
		panel.await(t, i, "no image yet")
		if err := app.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := app.end(t); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(launches)
	within(t, fmt.Sprintf("launch to icon, median of %d (%.0f to %.0f)", len(launches), launches[0], launches[len(launches)-1]), launches[len(launches)/2], bound(t, "LIMIT_LAUNCH", 150), "ms")

	app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	mark := panel.icon(t)
	panel.await(t, mark, "no image yet")
	pid := app.cmd.Process.Pid
	time.Sleep(3 * time.Second) // what comes at the start is not idle
	before := cpu(t, pid)
	time.Sleep(time.Duration(idle) * time.Second)
	used := cpu(t, pid) - before
	within(t, fmt.Sprintf("idle CPU of the menu over %d s", idle), 100*used.Seconds()/float64(idle), bound(t, "LIMIT_CPU", 0.05), "% of a core")
	mine := rss(t, pid)
	within(t, "memory of the menu", mine, bound(t, "LIMIT_RSS", 40), "MB")
	within(t, "memory of menu and idle owner", mine+rss(t, owner(t, h)), bound(t, "LIMIT_BOTH", 100), "MB")
	openings(t, h, panel, mark)
	for _, name := range []string{"ingot", "ingot-app", "ingot-window"} {
		if info, err := os.Stat(filepath.Join(bin, name)); err == nil {
			t.Logf("%s: %.1f MB on disk", name, float64(info.Size())/1e6)
		}
	}
}

// openings measures from the click on "Open Ingot" to a window that is drawn; the
// first one finds its program cold.
func openings(t *testing.T, h home, panel *host, mark icon) {
	t.Helper()
	x, err := xgb.NewConn()
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	const warm = 9
	var took []float64
	for i := range warm + 1 {
		until(t, "an empty screen", func() bool { return !painted(t, x) })
		began := time.Now()
		panel.click(t, mark, panel.await(t, mark, "Open Ingot"))
		for end := began.Add(limit); !painted(t, x); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no window was drawn")
			}
		}
		ms := float64(time.Since(began).Microseconds()) / 1000
		w, ok := awaitWindow(t, h)
		if !ok {
			return // this ingot-app was built without its window
		}
		w.close(t)
		if i > 0 {
			took = append(took, ms)
			continue
		}
		t.Logf("click to the first window: %.0f ms", ms)
	}
	slices.Sort(took)
	within(t, fmt.Sprintf("click to a window that is drawn, median of %d (%.0f to %.0f)", warm, took[0], took[warm-1]), took[warm/2], bound(t, "LIMIT_OPEN", 600), "ms")
}

// painted tells whether the screen shows more than a ground and a frame.
func painted(t *testing.T, x *xgb.Conn) bool {
	t.Helper()
	s := xproto.Setup(x).DefaultScreen(x)
	all := pixels(t, x, 0, 0, s.WidthInPixels, s.HeightInPixels)
	colours := map[[3]byte]bool{}
	for i := 0; i+4 <= len(all) && len(colours) <= 32; i += 4 {
		colours[[3]byte(all[i:])] = true
	}
	return len(colours) > 32
}

// cpu is the time that a process has used, by proc_pid_schedstat: nanoseconds
// on the CPU, where stat counts ticks of 10 ms.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	var sum time.Duration
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("process %d: %v", pid, err)
	}
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended
		}
		n, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}

// rss is a process's resident memory in MB.
func rss(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kb, err := strconv.ParseFloat(strings.Fields(string(v))[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1000
		}
	}
	t.Fatalf("process %d has no VmRSS", pid)
	return 0
}

// owner is the process of a home's owner.
func owner(t *testing.T, h home) int {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "ingot"), "owner", "--json")
	cmd.Env = h.env()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"pid":(\d+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("no owner: %s", out)
	}
	pid, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// kill ends a home's owner as a crash does.
func kill(t *testing.T, h home) {
	t.Helper()
	if err := syscall.Kill(owner(t, h), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
