//go:build e2e

package app

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answer is one of `ingot-app --selfcheck`.
type answer struct{ ID, Verdict, Why string }

func selfCheck(t *testing.T, h home) ([]answer, error) {
	t.Helper()
	file := filepath.Join(h.dir, "answers.json")
	cmd := exec.Command(filepath.Join(h.bin, "ingot-app"), "--selfcheck", file)
	cmd.Env = h.env() // its errors go to /dev/null, as those of a program that a desktop starts
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return nil, err
		}
	case <-time.After(5 * limit):
		_ = cmd.Process.Kill()
		t.Fatalf("it does not end: %v", <-ended)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []answer
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all, nil
}

// windowEnded waits for the end of a window's process, which closes its socket last.
func windowEnded(t *testing.T, h home) {
	t.Helper()
	until(t, "the window's end", func() bool {
		_, err := os.Stat(filepath.Join(h.dir, "data", "window.sock"))
		return err != nil && len(windows()) == 0
	})
}

// The menu checks itself on a real desktop: what needs no Mac passes, and the window that
// it opened is closed again. Beside another menu it refuses.
func TestSelfCheck(t *testing.T) {
	h := newHome(t)
	d := startDaemon(t)
	startHost(t)
	all, err := selfCheck(t, h)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(h.dir, "data", "menu.log")) // it says why
		t.Fatalf("%v: %s", err, log)
	}
	want := map[string]string{"app.bundle": "skipped", "app.log": "passed", "app.notes-allowed": "skipped", "app.note": "passed", "app.block": "skipped", "app.login": "passed", "app.idle": "passed", "app.reopen": "passed", "app.front": "passed"}
	if len(all) != len(want) {
		t.Errorf("%d answers: %+v", len(all), all)
	}
	for _, a := range all {
		if want[a.ID] != a.Verdict {
			t.Errorf("%s: %s, want %s: %s", a.ID, a.Verdict, want[a.ID], a.Why)
		}
	}
	if n := d.next(t); !strings.Contains(n.title, "checks itself") {
		t.Errorf("notification: %+v", n)
	}
	windowEnded(t, h)

	start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	until(t, "the other menu", func() bool { _, err := os.Stat(filepath.Join(h.dir, "data", "menu.sock")); return err == nil })
	if _, err := selfCheck(t, h); err == nil {
		t.Error("it checks itself beside another menu")
	}
}

// Without a notification server that check fails, and the others are still made.
func TestSelfCheckFails(t *testing.T) {
	h := newHome(t)
	startHost(t)
	all, err := selfCheck(t, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.ID == "app.note" && (a.Verdict != "failed" || a.Why == "") || a.ID == "app.front" && a.Verdict != "passed" {
			t.Errorf("%+v", a)
		}
	}
	windowEnded(t, h)
}

// A link shows its page; a log that is opened is explained; what is neither is refused.
func TestOpened(t *testing.T) {
	h := newHome(t)
	h.write(t, "serial.log", "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n")
	open := func(item string) error {
		p := start(t, h.env(), filepath.Join(h.bin, "ingot-app"), "open", item)
		err := p.end(t)
		if err != nil && p.says.String() == "" {
			t.Errorf("%s: nothing was said", item)
		}
		return err
	}
	if err := open("ingot://settings"); err != nil {
		t.Fatal(err)
	}
	w, ok := awaitWindow(t, h)
	if !ok {
		return
	}
	w.drawn(t, "window-by-link")
	if err := open(filepath.Join(h.dir, "serial.log")); err != nil {
		t.Error(err)
	}
	w.drawn(t, "window-with-log")
	if got := len(windows()); got != 1 {
		t.Errorf("%d windows", got)
	}
	for _, item := range []string{"ingot://../etc", filepath.Join(h.dir, "none.qcow2"), "https://example.org/x.qcow2", h.dir} {
		if open(item) == nil {
			t.Errorf("%s was opened", item)
		}
	}
	w.close(t)
	state, err := os.ReadFile(filepath.Join(h.dir, "data", "window.json"))
	if err != nil || !strings.Contains(string(state), "notary") {
		t.Errorf("the page that was shown last: %s, %v", state, err)
	}
}
