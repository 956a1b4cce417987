//go:build e2e_lima

package lima

import (
	"bufio"
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
	if _, err := os.Stat(filepath.Join(os.Getenv("INGOT_HOME"), "data", "builds", kernelTarget)); err == nil {
		must(t, "build", kernelTarget, "--until", "kernel")
	} else {
		t.Logf("%s was not built here: run TestTakeTheDisk too", kernelTarget)
	}
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
