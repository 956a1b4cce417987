//go:build e2e

package app

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend/api"
	"ingot/backend/event"
	"ingot/backend/guest/lima"
)

// forgeVM is the Lima instance in which builds run where this computer is no guest; tiny
// is a target of the architecture of the tests' guest.
const (
	forgeVM = "ingot-forge"
	tiny    = "debian-12-amd64-tiny"
)

// bootLimit bounds the start and the stop of a guest without hardware virtualisation.
const bootLimit = 6 * time.Minute

// TestForgeFromMenu goes the way of a Mac: this computer is no guest. Build is clicked in
// the menu: the forge VM is made and started, and the build's first command runs in it.
// Cancel Build ends the build, and then the owner stops the VM.
func TestForgeFromMenu(t *testing.T) {
	template := os.Getenv("INGOT_E2E_TEMPLATE")
	if template == "" {
		t.Skip("it needs limactl, a guest's disk and a user that is not root: make e2e-app runs it with them")
	}
	h, env := forge(t)
	h.write(t, "config/config.yaml", fmt.Sprintf("forge: {template: %s, idle: 3s}\n", template))
	env = append(env, "INGOT_LOCAL_GUEST=off")
	store := lima.Store{}
	if i, err := store.Instance(forgeVM); err == nil {
		t.Fatalf("%s is there already: %s", i.Dir, i.Status)
	}
	t.Cleanup(func() {
		if _, err := store.Instance(forgeVM); err == nil {
			run(t, "limactl", "--tty=false", "delete", "--force", forgeVM)
		}
	})
	panel := startHost(t)
	start(t, env, filepath.Join(h.bin, "ingot-app"))
	icon := panel.icon(t)
	began := time.Now()
	stage := func(what string) {
		t.Logf("%s: %.0f s", what, time.Since(began).Seconds())
		began = time.Now()
	}

	panel.click(t, icon, panel.await(t, icon, "Build", tiny+" · not built"))
	b := h.began(t, tiny, nil)
	b.await(t, "the forge VM made", "making the forge VM "+forgeVM)
	b.await(t, "the forge VM started", "starting the forge VM "+forgeVM)
	stage("made")
	b.await(t, "the first command in the guest", "in lima:"+forgeVM+": apt-get update")
	if i, err := store.Instance(forgeVM); err != nil || i.Status != lima.Running {
		t.Errorf("while the build runs: %+v, %v", i, err)
	}
	stage("started")

	panel.click(t, icon, panel.await(t, icon, tiny+" · ", "Cancel Build"))
	if end := b.end(t); end.Outcome != api.OutcomeCancelled {
		t.Errorf("the build ended as %q: %s", end.Outcome, end.Msg)
	}
	before := owner(t, h)
	if !comes(bootLimit, func() bool { i, err := store.Instance(forgeVM); return err == nil && i.Status == lima.Stopped }) {
		i, err := store.Instance(forgeVM)
		t.Fatalf("it was not stopped: %s, %v", i.Status, err)
	}
	if after := owner(t, h); after != before {
		t.Errorf("the owner was process %d, is %d: one that starts may have stopped it", before, after)
	}
	stage("cancelled and stopped")
	panel.await(t, icon, "Build", tiny+" · ") // the menu goes on
}

// again clicks Build where nothing has changed and builds run in the forge VM: all steps
// are done already, so no guest is started. A limactl that does nothing notes its calls.
func again(t *testing.T, h home, env []string, panel *host) {
	t.Helper()
	stop := exec.Command(filepath.Join(h.bin, "ingot"), "owner", "stop") // the next one has another environment
	stop.Env = env
	if out, err := stop.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	calls := filepath.Join(h.dir, "limactl-calls")
	h.write(t, "bin/limactl", "#!/bin/sh\necho \"$*\" >>"+calls+"\nexit 1\n")
	if err := os.Chmod(filepath.Join(h.bin, "limactl"), 0o700); err != nil {
		t.Fatal(err)
	}
	env = append(env, "INGOT_LOCAL_GUEST=off", "LIMA_HOME="+filepath.Join(h.dir, "lima"), "PATH="+h.bin+":"+os.Getenv("PATH"))
	earlier := h.builds(t, lean)
	start(t, env, filepath.Join(h.bin, "ingot-app"))
	icon := panel.icon(t)
	panel.await(t, icon, "1 ready")
	panel.click(t, icon, panel.await(t, icon, "Build", lean))
	b := h.began(t, lean, earlier)
	if end := b.end(t); end.Outcome != api.OutcomePassed {
		t.Errorf("it ended as %q: %s", end.Outcome, end.Msg)
	}
	for _, e := range b.journal(t) {
		if e.Kind == api.EventStepStarted {
			t.Errorf("the step %s was done again: %s", e.Step, e.Msg)
		}
	}
	if text, err := os.ReadFile(calls); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("limactl was called: %s, %v", text, err)
	}
}

// ofMenu is a build of a home, by its folder.
type ofMenu struct{ dir string }

// builds are the folders of a target's builds.
func (h home) builds(t *testing.T, target string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(h.dir, "data", "builds", target, "*-*-*")) // not the list
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// began waits for a build of the target that is none of the earlier ones.
func (h home) began(t *testing.T, target string, earlier []string) (b ofMenu) {
	t.Helper()
	until(t, "a build", func() bool {
		for _, dir := range h.builds(t, target) {
			if !slices.Contains(earlier, dir) {
				b.dir = dir
			}
		}
		return b.dir != ""
	})
	return b
}

func (b ofMenu) journal(t *testing.T) []event.Event {
	t.Helper()
	events, err := event.Read(filepath.Join(b.dir, "journal.ndjson"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return events
}

// await waits until the journal has a text. A build that has ended before is an error.
func (b ofMenu) await(t *testing.T, what, text string) {
	t.Helper()
	if !comes(bootLimit, func() bool {
		events := b.journal(t)
		if slices.ContainsFunc(events, func(e event.Event) bool { return strings.Contains(e.Msg, text) }) {
			return true
		}
		if event.Ended(events) {
			t.Fatalf("%s did not come: the build has ended:\n%s", what, told(events))
		}
		return false
	}) {
		t.Fatalf("%s did not come:\n%s", what, told(b.journal(t)))
	}
}

// end waits for the build's end.
func (b ofMenu) end(t *testing.T) event.Event {
	t.Helper()
	until(t, "the build's end", func() bool { return event.Ended(b.journal(t)) })
	events := b.journal(t)
	return events[len(events)-1]
}

// told prints a journal for a person.
func told(events []event.Event) string {
	var s strings.Builder
	for _, e := range events {
		fmt.Fprintln(&s, e.Kind, e.Step, e.Outcome, e.Msg)
	}
	return s.String()
}
