//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spans are how long the steps run, roughly, on the lean target with a warm
// compiler cache: the kills fall into them.
var spans = []struct {
	step string
	span time.Duration
}{
	{"kernel", 60 * time.Second},
	{"image", 12 * time.Second},
	{"export", 2 * time.Second},
	{"prove", 60 * time.Second},
	{"publish", 500 * time.Millisecond},
}

// The owner and its client killed at seeded instants of each step: nothing
// half-made stays, nothing runs on, the build that was cut off goes on with the
// next one, and both make the very bytes of before.
// INGOT_E2E_KILLS is the number of kills a step, INGOT_E2E_SEED their seed.
func TestK_Killed(t *testing.T) {
	seed := number("INGOT_E2E_SEED", 1)
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	home := filepath.Join(work, "home")
	before := outputDigests(t, home)
	for range number("INGOT_E2E_KILLS", 1) {
		for _, s := range spans {
			delay := time.Duration(rng.Float64() * float64(s.span))
			t.Run(s.step+" after "+delay.Round(time.Millisecond).String(), func(t *testing.T) {
				killIn(t, s.step, delay)
				if _, stderr, code := ingot(t, "build", lean); code != 0 {
					t.Fatalf("the next build: exit %d\n%s", code, stderr)
				}
				if after := outputDigests(t, home); !reflect.DeepEqual(before, after) {
					t.Errorf("outputs %v, before %v", after, before)
				}
				nothingLeft(t)
				for name, c := range status(t, lean) {
					if c.State != "passed" {
						t.Errorf("%s is %s (%s)", name, c.State, c.Cause)
					}
				}
			})
		}
	}
}

// Ctrl-C ends the step's processes and leaves the state "cancelled", which the
// next build takes back.
func TestK_CtrlC(t *testing.T) {
	cmd := startStep(t, "image")
	time.Sleep(3 * time.Second)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // judged by its exit code
	if code := cmd.ProcessState.ExitCode(); code != 130 {
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

// killIn makes the step necessary, starts it, and kills the program.
func killIn(t *testing.T, step string, delay time.Duration) {
	t.Helper()
	cmd := startStep(t, step)
	time.Sleep(delay)
	if cell := status(t, lean); step == "kernel" && delay > time.Second && cell["kernel"].State != "running" {
		t.Logf("kernel is %s before the kill", cell["kernel"].State) // it may have ended
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // says that it was killed, or that the step had ended before
	killOwner(t)
	for name, c := range status(t, lean) {
		if c.State == "running" {
			t.Errorf("%s is running without a process", name)
		}
	}
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
func startStep(t *testing.T, step string) *exec.Cmd {
	t.Helper()
	forget(t, filepath.Join(work, "home"), step)
	cmd := exec.Command(filepath.Join(root, "bin", "ingot"), "build", lean, "--json", "--until", step, "--force", step)
	cmd.Env = environment(filepath.Join(work, "home"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := make(chan bool, 1)
	go func() {
		for s := bufio.NewScanner(stdout); s.Scan(); {
			if strings.Contains(s.Text(), `"step-started"`) && strings.Contains(s.Text(), `"step":"`+step+`"`) {
				started <- true
			}
		}
		close(started)
	}()
	if !<-started {
		t.Fatalf("the %s step did not start: %v", step, cmd.Wait())
	}
	return cmd
}

// forget removes the lean target's outputs of a step, which makes the step
// necessary. Those of other targets stay: no build of lean brings them back.
func forget(t *testing.T, home, step string) {
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
		if _, err := os.Stat(filepath.Join(home, "data", "builds", lean, done.Build)); err != nil {
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
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
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
