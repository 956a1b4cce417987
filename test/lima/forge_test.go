//go:build e2e_lima

package lima

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/guest/lima"
)

// forgeVM is the instance in which builds run where this computer is no guest.
const forgeVM = "ingot-forge"

// smallTarget is the smallest one that boots.
const smallTarget = "debian-12-amd64-small"

// TestForge goes the way of a Mac: this computer is no guest. The first build makes the
// forge VM, starts it, and installs there what it lacks; it is cancelled, and the owner
// stops the VM. A build that finds its steps done starts none.
func TestForge(t *testing.T) {
	t.Setenv("INGOT_LOCAL_GUEST", "off")
	config := filepath.Join(os.Getenv("INGOT_HOME"), "config", "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "forge: {template: %s, idle: 3s}\n", template(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Remove(config)
		_, _, _ = ingot(t, "vm", "delete", forgeVM, "--force", "--yes", forgeVM)
	})
	// nothing to do: its kernel was built before, on this computer
	if _, err := os.Stat(filepath.Join(os.Getenv("INGOT_HOME"), "data", "builds", smallTarget)); err != nil {
		t.Fatalf("%s was not built here: scripts/e2e-lima.sh does it", smallTarget)
	}
	must(t, "build", smallTarget, "--until", "kernel")
	if _, err := (lima.Store{}).Instance(forgeVM); err == nil {
		t.Fatal("a build without anything to do made the forge VM")
	}
	stage(t, "the first build, until it works in the guest", func() { firstBuild(t) })
	stage(t, "stopped by the owner", func() {
		for end := time.Now().Add(5 * time.Minute); found(t, forgeVM).Status != lima.Stopped; time.Sleep(500 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it is %s", found(t, forgeVM).Status)
			}
		}
	})
	agent, err := os.ReadFile(filepath.Join(found(t, forgeVM).Dir, "ha.stderr.log"))
	if err != nil || len(agent) == 0 {
		t.Errorf("the host agent's log has %d bytes: %v", len(agent), err)
	}
	if out := must(t, "doctor", "--json", tinyTarget); !strings.Contains(out, "a build starts it") {
		t.Errorf("doctor: %s", out)
	}
}

// TestForgeLine goes the whole way of a Mac, to a published image: `doctor --install`
// makes the forge VM and installs there what a build needs, the build starts it, and the
// owner stops it. The guest's compiler cache is filled as in TestBuildInside.
func TestForgeLine(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("it takes long: INGOT_E2E_SOAK=1")
	}
	t.Setenv("INGOT_LOCAL_GUEST", "off")
	config := filepath.Join(os.Getenv("INGOT_HOME"), "config", "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "forge: {template: %s, idle: 20s}\n", roomy(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Remove(config)
		_, _, _ = ingot(t, "vm", "delete", forgeVM, "--force", "--yes", forgeVM)
	})
	stopped := func() {
		t.Helper()
		for end := time.Now().Add(5 * time.Minute); found(t, forgeVM).Status != lima.Stopped; time.Sleep(500 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the forge VM is %s", found(t, forgeVM).Status)
			}
		}
	}
	stage(t, "doctor --install", func() { must(t, "doctor", "--install", smallTarget) })
	stopped()
	must(t, "vm", "start", forgeVM)
	stage(t, "seed", func() { seed(t, forgeVM) })
	must(t, "vm", "stop", forgeVM)
	stage(t, "the line", func() { must(t, "build", smallTarget) })
	var table []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(must(t, "status", smallTarget, "--json")), &table); err != nil || len(table) != 1 {
		t.Fatalf("%v %v", err, table)
	}
	var guest string
	for _, name := range []string{"configured", "guest", "kernel", "exported", "boots", "published"} {
		var cell struct{ State, Evidence string }
		if err := json.Unmarshal(table[0][name], &cell); err != nil || cell.State != "passed" {
			t.Errorf("%s: %+v, %v", name, cell, err)
		}
		if name == "guest" {
			guest = cell.Evidence
		}
	}
	if shown := must(t, "evidence", "show", guest); !strings.Contains(shown, `"lima:`+forgeVM+`"`) {
		t.Errorf("evidence of the guest: %s", shown)
	}
	stage(t, "stopped by the owner", stopped)
	if out := must(t, "build", smallTarget); strings.Contains(out, "starting the forge VM") || found(t, forgeVM).Status != lima.Stopped {
		t.Errorf("a build without anything to do: %s", out)
	}
}

// firstBuild starts a build and cancels it once a command runs in the guest.
func firstBuild(t *testing.T) {
	t.Helper()
	cmd := exec.Command(need(t, "INGOT_E2E_BIN"), "build", tinyTarget, "--until", "kernel", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(15*time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	said, runs := "", false
	for s := bufio.NewScanner(out); s.Scan(); {
		said += s.Text() + "\n"
		if !runs && (strings.Contains(s.Text(), `in lima:ingot-forge: apt-get update`) || strings.Contains(s.Text(), `"step-started"`)) {
			runs = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || !runs {
		t.Fatalf("%v; it said:\n%s", err, said)
	}
	for _, want := range []string{"making the forge VM", "starting the forge VM"} {
		if !strings.Contains(said, want) {
			t.Errorf("it did not say %q:\n%s", want, said)
		}
	}
}
