//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// event is a line of `build --json` and `follow --json`.
type event struct {
	ID                         int64
	Kind, Build, Step, Outcome string
	PID                        int
}

// client is a running command whose events are read.
type client struct {
	cmd    *exec.Cmd
	events chan event
	errs   bytes.Buffer
}

func startClient(t *testing.T, args ...string) *client {
	t.Helper()
	return startClientIn(t, filepath.Join(work, "home"), args...)
}

func startClientIn(t *testing.T, home string, args ...string) *client {
	t.Helper()
	c := &client{cmd: exec.Command(filepath.Join(root, "bin", "ingot"), args...), events: make(chan event, 4096)}
	c.cmd.Env = environment(home)
	c.cmd.Stderr = &c.errs
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	go c.read(out)
	return c
}

func (c *client) read(out io.Reader) {
	defer close(c.events)
	for s := bufio.NewScanner(out); s.Scan(); {
		var e event
		if json.Unmarshal(s.Bytes(), &e) == nil {
			c.events <- e
		}
	}
}

// kill ends the command and waits for it.
func (c *client) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()         // says that it was killed
}

// until waits for an event.
func (c *client) until(t *testing.T, limit time.Duration, what string, fits func(event) bool) event {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case e, ok := <-c.events:
			if !ok {
				t.Fatalf("the stream ended before %s: %s", what, c.errs.String())
			}
			if fits(e) {
				return e
			}
		case <-timer.C:
			t.Fatalf("%s did not come within %s", what, limit)
		}
	}
}

// A build is started by one process and watched by a second, whose death it
// does not notice; its owner is killed and it goes on under its id with the
// next one; a third process cancels it.
func TestN_OwnerAndClients(t *testing.T) {
	home := filepath.Join(work, "home")
	before := outputDigests(t, home)
	const step = "prove" // it takes a while, and is soon done again
	first, begun := startStep(t, lean, step)

	second := startClient(t, "follow", lean, "--json")
	second.until(t, time.Minute, "the past", func(e event) bool { return e.ID == begun.ID && e.Build == begun.Build })
	if err := second.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = second.cmd.Wait() // killed
	if out, _, code := ingot(t, "builds"); code != 0 || !strings.Contains(out, begun.Build) || !strings.Contains(out, "step "+step) {
		t.Fatalf("builds: exit %d\n%s", code, out)
	}

	killOwner(t)
	killed := time.Now()
	again := first.until(t, 45*time.Second, "the new start", func(e event) bool { return e.Kind == "build-started" && e.PID != begun.PID })
	t.Logf("it goes on %s after the kill", time.Since(killed).Round(10*time.Millisecond))
	if again.Build != begun.Build || again.ID <= begun.ID || again.PID != ownerPID(t) {
		t.Errorf("began as %+v, goes on as %+v", begun, again)
	}
	first.until(t, time.Minute, "the step again", func(e event) bool { return e.Kind == "step-started" && e.Step == step })
	if c := status(t, lean)["boots"]; c.State != "running" {
		t.Errorf("boots is %s", c.State)
	}

	asked := time.Now()
	if _, stderr, code := ingot(t, "cancel", begun.Build); code != 0 {
		t.Fatalf("cancel: exit %d\n%s", code, stderr)
	}
	end := first.until(t, 20*time.Second, "the end", func(e event) bool { return e.Kind == "build-finished" })
	t.Logf("cancelled within %s", time.Since(asked).Round(10*time.Millisecond))
	if err := first.cmd.Wait(); end.Outcome != "cancelled" || first.cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("end %+v, %v", end, err)
	}
	if _, stderr, code := ingot(t, "cancel", begun.Build); code != 2 || !strings.Contains(stderr, "no build") {
		t.Errorf("cancel of what has ended: exit %d\n%s", code, stderr)
	}
	nothingLeft(t)
	if _, stderr, code := ingot(t, "build", lean); code != 0 {
		t.Fatalf("the next build: exit %d\n%s", code, stderr)
	}
	if after := outputDigests(t, home); !reflect.DeepEqual(before, after) {
		t.Errorf("outputs %v, before %v", after, before)
	}
}

// A build whose client is killed goes on to its end, the publish step with its
// server and all.
func TestN_ClientKilled(t *testing.T) {
	first := startClient(t, "build", lean, "--json", "--force", "export", "--force", "publish")
	begun := first.until(t, time.Minute, "the export step", func(e event) bool { return e.Kind == "step-started" && e.Step == "export" })
	owner := ownerPID(t)
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait() // killed
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, _, _ := ingot(t, "builds")
		if !strings.Contains(out, begun.Build) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it still runs: %s", out)
		}
	}
	if now := ownerPID(t); now != owner {
		t.Errorf("the owner is process %d, was %d", now, owner)
	}
	journal, err := os.ReadFile(filepath.Join(work, "home", "data", "builds", lean, begun.Build, "journal.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(journal, []byte(`"step":"publish","msg":"http`)) || !bytes.Contains(journal, []byte(`"kind":"build-finished"`)) {
		t.Errorf("journal: %s", journal)
	}
	for name, c := range status(t, lean) {
		if c.State != "passed" {
			t.Errorf("%s is %s (%s)", name, c.State, c.Cause)
		}
	}
}
