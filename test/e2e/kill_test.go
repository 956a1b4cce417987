//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victimTarget is the target whose builds are killed: the one of most tests, or another one with
// a lean kernel, as by scripts/soak.sh, which takes that of this computer's architecture.
var victimTarget = cmp.Or(os.Getenv("INGOT_E2E_KILL_TARGET"), lean)

// spans are how long the steps run, roughly, on a lean target with a warm
// compiler cache: the kills fall into them. In this order each step finds what it needs.
var spans = []struct {
	step string
	span time.Duration
}{
	{"kernel", 60 * time.Second},
	{"rootfs", 35 * time.Second}, // of minutes under emulation; one that is killed stays as it was in the cache
	{"image", 12 * time.Second},
	{"export", 2 * time.Second},
	{"prove", 60 * time.Second},
	{"publish", 500 * time.Millisecond},
}

// victims are what is killed. Whatever it is, the build can be cancelled or has ended.
var victims = map[string]func(t *testing.T, c *client, begun event, rng *rand.Rand){
	// the client starts another owner, and the build goes on in it
	"owner": func(t *testing.T, c *client, begun event, _ *rand.Rand) {
		killOwner(t)
		for e := range c.events {
			if e.Kind == "build-finished" || e.Kind == "build-started" && e.PID != begun.PID {
				return
			}
		}
		t.Errorf("the client left when its owner was killed: %s", c.errs.String())
	},
	// the build goes on in the owner
	"client": func(t *testing.T, c *client, _ event, _ *rand.Rand) { c.kill() },
	// the build goes on with the next owner
	"owner and client": func(t *testing.T, c *client, _ event, _ *rand.Rand) {
		c.kill()
		killOwner(t)
		for name, cell := range status(t, victimTarget) {
			if cell.State == "running" {
				t.Errorf("%s is running without a process", name)
			}
		}
		startClient(t, "build", victimTarget, "--json", "--until", "kernel") // waits for the other one
		for end := time.Now().Add(time.Minute); ownerPID(t) == 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("there is no new owner")
			}
		}
	},
	// its step fails, or does without it
	"child": func(t *testing.T, c *client, _ event, rng *rand.Rand) {
		name := killChild(t, rng)
		if name == "" {
			return // the step had none
		}
		c.until(t, 15*time.Minute, "the end after "+name+" was killed", func(e event) bool { return e.Kind == "build-finished" })
	},
}

// The owner, its client, both, or a process of the step killed at seeded instants of
// each step: nothing half-made stays, nothing runs on, no tick of another step is lost,
// and a build that was cut off goes on or can be cancelled. The build after all of them
// makes the very bytes of before.
// INGOT_E2E_SEED is the seed; see killsOf for their number.
func TestK_Killed(t *testing.T) {
	seed := number("INGOT_E2E_SEED", 1)
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	home := filepath.Join(work, "home")
	if _, stderr, code := ingot(t, "build", victimTarget); code != 0 {
		t.Fatalf("the build before the kills: exit %d\n%s", code, stderr)
	}
	before := outputDigests(t, home)
	order := slices.Sorted(maps.Keys(victims))
	n := 0
	for _, s := range spans {
		kills := killsOf(t, s.step)
		if kills == 0 {
			continue
		}
		for range kills {
			victim := order[(n+seed)%len(order)]
			n++
			delay := time.Duration(rng.Float64() * float64(s.span))
			t.Run(fmt.Sprintf("%s in %s after %s", victim, s.step, delay.Round(time.Millisecond)), func(t *testing.T) {
				c, begun := startStep(t, victimTarget, s.step)
				time.Sleep(delay)
				if ownerPID(t) == 0 { // it leaves only after the build's end
					if end := c.until(t, time.Minute, "the end", func(e event) bool { return e.Kind == "build-finished" }); end.Outcome != "passed" {
						t.Fatalf("before the kill the build ended as %q", end.Outcome)
					}
					t.Skip("the build was done before the kill")
				}
				victims[victim](t, c, begun, rng)
				settle(t)
				c.kill()
				nothingLeft(t)
				ticksStay(t, s.step)
			})
		}
		if _, stderr, code := ingot(t, "build", victimTarget, "--until", s.step); code != 0 {
			t.Fatalf("%s after the kills: exit %d\n%s", s.step, code, stderr)
		}
	}
	if _, stderr, code := ingot(t, "build", victimTarget); code != 0 {
		t.Fatalf("the next build: exit %d\n%s", code, stderr)
	}
	if after := outputDigests(t, home); !reflect.DeepEqual(before, after) {
		t.Errorf("outputs %v, before %v", after, before)
	}
	nothingLeft(t)
	for name, c := range status(t, victimTarget) {
		if c.State != "passed" {
			t.Errorf("%s is %s (%s)", name, c.State, c.Cause)
		}
	}
}

// killsOf is how often a step is cut off: INGOT_E2E_KILLS is a number, or names some
// steps, as in the text below.
func killsOf(t *testing.T, step string) int {
	t.Helper()
	given := cmp.Or(os.Getenv("INGOT_E2E_KILLS"), "kernel=1 image=3 export=2 prove=1 publish=3") // kernel and rootfs are slow to be made again: make soak has more
	if !strings.Contains(given, "=") {
		return number("INGOT_E2E_KILLS", 1)
	}
	for _, one := range strings.Fields(given) {
		if n, ok := strings.CutPrefix(one, step+"="); ok {
			kills, err := strconv.Atoi(n)
			if err != nil {
				t.Fatalf("INGOT_E2E_KILLS: %s: %v", one, err)
			}
			return kills
		}
	}
	return 0
}

// killChild kills one of the processes that the owner's children and their children
// are, and says which; "" when there is none.
func killChild(t *testing.T, rng *rand.Rand) string {
	t.Helper()
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stats {
		stat, err := os.ReadFile(f)
		_, rest, found := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); err == nil && found && len(fields) > 1 && fields[0] != "Z" {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			parent, err2 := strconv.Atoi(fields[1]) // proc_pid_stat(5): state, then ppid
			if err == nil && err2 == nil {
				parents[pid] = parent
			}
		}
	}
	owner := ownerPID(t)
	var all []int
	for pid := range parents {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == owner {
				all = append(all, pid)
				break
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	pid := all[rng.IntN(len(all))]
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // it may have ended
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	t.Logf("process %d, %s, of %d was killed", pid, bytes.TrimSpace(name), len(all))
	return fmt.Sprintf("process %d, %s", pid, bytes.TrimSpace(name))
}

// cleanLimit is how long the removal of a kernel's tree may take on a slow computer with
// other work; see family.Dir.
const cleanLimit = 6 * time.Minute

// settle cancels what still runs or waits, until nothing does.
func settle(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(cleanLimit); ; time.Sleep(200 * time.Millisecond) {
		out, stderr, code := ingot(t, "builds", "--json")
		var list []struct{ ID string }
		if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil {
			t.Fatalf("builds: exit %d, %v\n%s%s", code, err, out, stderr)
		}
		if len(list) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still there: %s", out)
		}
		for _, b := range list {
			if _, stderr, code := ingot(t, "cancel", b.ID); code != 0 && code != 2 {
				t.Fatalf("cancel: exit %d\n%s", code, stderr)
			}
		}
	}
}

// cellOf is the cell that a step fills.
var cellOf = map[string]string{"kernel": "kernel", "rootfs": "exported", "image": "exported", "export": "exported", "prove": "boots", "publish": "published"}

// ticksStay looks at the cells after a kill in a step: those before it have their
// ticks, and none says that evidence was lost or changed.
func ticksStay(t *testing.T, step string) {
	t.Helper()
	cells := status(t, victimTarget)
	for _, name := range []string{"configured", "guest", "kernel", "exported", "boots", "published"} {
		c := cells[name]
		if strings.HasPrefix(c.Cause, "evidence.") && c.Cause != "evidence.cancelled" && c.Cause != "evidence.interrupted" {
			t.Errorf("%s is %s (%s)", name, c.State, c.Cause)
		}
		if c.State == "running" {
			t.Errorf("%s is running without a build", name)
		}
	}
	for _, name := range []string{"configured", "guest", "kernel", "exported", "boots"} {
		if name == cellOf[step] {
			return
		}
		if cells[name].State != "passed" && cells[name].State != "cancelled" { // what is opened again is cancelled by us
			t.Errorf("%s is %s (%s) after a kill in %s", name, cells[name].State, cells[name].Cause, step)
		}
	}
}

// Ctrl-C ends the step's processes and leaves the state "cancelled", which the
// next build takes back.
func TestK_CtrlC(t *testing.T) {
	c, _ := startStep(t, lean, "image")
	time.Sleep(3 * time.Second)
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // judged by its exit code
	if code := c.cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
	nothingLeft(t)
	if c := status(t, lean)["exported"]; c.State != "cancelled" || c.Cause != "evidence.cancelled" {
		t.Errorf("exported is %s (%s)", c.State, c.Cause)
	}
	if _, stderr, code := ingot(t, "build", lean); code != 0 {
		t.Fatalf("the next build: exit %d\n%s", code, stderr)
	}
	if c := status(t, lean)["exported"]; c.State != "passed" {
		t.Errorf("exported is %s (%s) after the next build", c.State, c.Cause)
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// ownerPID is the process of the tests' owner; 0 when there is none.
func ownerPID(t *testing.T) int {
	t.Helper()
	out, _, code := ingot(t, "owner", "--json")
	var info struct{ PID int }
	if code == 0 {
		if err := json.Unmarshal([]byte(out), &info); err != nil {
			t.Fatal(err)
		}
	}
	return info.PID
}

// killOwner kills the owner and waits until it is gone.
func killOwner(t *testing.T) {
	t.Helper()
	pid := ownerPID(t)
	if pid == 0 {
		t.Fatal("no owner runs")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil && !zombie(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the owner still runs")
		}
	}
}

// zombie tells that a process has ended and nobody has waited for it: its
// parent was a client that was killed, and what adopts orphans here may not reap.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// startStep makes the step necessary, and starts a build that has begun it.
func startStep(t *testing.T, target, step string) (c *client, begun event) {
	t.Helper()
	forget(t, filepath.Join(work, "home"), target, step)
	c = startClient(t, "build", target, "--json", "--until", step, "--force", step)
	begun = c.until(t, time.Minute, "the start", func(e event) bool { return e.Kind == "build-started" })
	c.until(t, 10*time.Minute, "step "+step, func(e event) bool { return e.Kind == "step-started" && e.Step == step })
	return c, begun
}

// forget removes a target's outputs of a step, which makes the step necessary. Those
// of other targets stay: no build of this one brings them back.
func forget(t *testing.T, home, target, step string) {
	t.Helper()
	outs, err := filepath.Glob(filepath.Join(home, "data", "outputs", step+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outs {
		data, err := os.ReadFile(filepath.Join(o, "done.json"))
		if err != nil {
			t.Fatal(err)
		}
		var done struct{ Build string }
		if err := json.Unmarshal(data, &done); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(home, "data", "builds", target, done.Build)); err != nil {
			continue
		}
		if err := os.RemoveAll(o); err != nil {
			t.Fatal(err)
		}
	}
}

// outputDigests are the digests of all outputs of a home, by step and file; exported
// files are named by their time.
func outputDigests(t *testing.T, home string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(home, "data", "outputs", "*", "done.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var done struct{ Files map[string]string }
		if err := json.Unmarshal(data, &done); err != nil {
			t.Fatal(err)
		}
		step := filepath.Base(filepath.Dir(f))
		for name, sum := range done.Files {
			if strings.HasPrefix(step, "export-") {
				name = filepath.Ext(name)
			}
			all[step+"/"+name] = sum
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d outputs", len(all))
	}
	return all
}

// nothingLeft looks for half-made files and for processes without an owner.
func nothingLeft(t *testing.T) {
	t.Helper()
	data := filepath.Join(work, "home", "data")
	for _, pattern := range []string{filepath.Join(data, "outputs", ".*"), filepath.Join(data, "children", "*.json"), filepath.Join(guestWork(), "ingot-*")} {
		left, _ := filepath.Glob(pattern)
		for end := time.Now().Add(cleanLimit); len(left) > 0 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // a new owner is at it
			left, _ = filepath.Glob(pattern)
		}
		if len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || bytes.Contains(mounts, []byte(guestWork())) {
		t.Errorf("mounted below %s: %v\n%s", guestWork(), err, mounts)
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		line, err := os.ReadFile(p)
		if err == nil && bytes.Contains(line, []byte(work)) && !bytes.Contains(line, []byte("e2e.test")) {
			t.Errorf("still runs: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}
