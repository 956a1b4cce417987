//go:build e2e_lima

package lima

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/guest"
)

const (
	forge      = "forge" // an instance of its own: it gets compilers
	tinyTarget = "debian-12-amd64-tiny"
	// leftovers counts work directories, and processes of a kernel's build.
	leftovers = `ls -d /var/tmp/ingot-kernel-* 2>/dev/null | wc -l; pgrep -c 'make|cc1|gcc' || true`
)

// TestBuildInside: a kernel is made inside a guest. What the guest lacks is
// installed there; a build that is cancelled leaves neither process nor
// directory; one that is not gives signed evidence that names the guest. The
// guest's compiler cache is filled from a build on this computer, by the same
// compiler: without that an emulated guest compiles for an hour.
func TestBuildInside(t *testing.T) {
	if os.Getenv("INGOT_E2E_SOAK") == "" {
		t.Skip("it takes long: INGOT_E2E_SOAK=1")
	}
	must(t, "vm", "create", forge, roomy(t))
	t.Cleanup(func() { must(t, "vm", "delete", forge, "--force", "--yes", forge) })
	stage(t, "start", func() { must(t, "vm", "start", forge) })
	refused(t, 3, "guest.tool-missing", "build", "--guest", "lima:"+forge, tinyTarget, "--until", "kernel")
	stage(t, "tools", func() { must(t, "doctor", "--guest", "lima:"+forge, "--install", tinyTarget) })

	stage(t, "a cancelled build", func() { cancelInside(t) })
	if left := strings.Fields(must(t, "vm", "shell", forge, "sh", "-c", leftovers)); strings.Join(left, " ") != "0 0" {
		t.Errorf("after the cancelled build: directories and processes %v", left)
	}

	stage(t, "seed", func() { seed(t, forge) })
	var out string
	stage(t, "kernel", func() { out = must(t, "build", "--guest", "lima:"+forge, tinyTarget, "--until", "kernel") })
	var table []struct {
		Guest, Kernel struct{ State, Evidence string }
	}
	if err := json.Unmarshal([]byte(must(t, "status", tinyTarget, "--json")), &table); err != nil || len(table) != 1 || table[0].Kernel.State != "passed" {
		t.Fatalf("%v %+v\n%s", err, table, out)
	}
	if shown := must(t, "evidence", "show", table[0].Guest.Evidence); !strings.Contains(shown, `"lima:`+forge+`"`) {
		t.Errorf("evidence of the guest: %s", shown)
	}
	var kernel struct {
		Predicate struct{ Release, BuildID, Compiler string }
	}
	if err := json.Unmarshal([]byte(must(t, "evidence", "show", table[0].Kernel.Evidence)), &kernel); err != nil {
		t.Fatal(err)
	}
	if p := kernel.Predicate; !strings.Contains(p.Release, "-ingot-") || len(p.BuildID) != 40 || !strings.Contains(p.Compiler, "gcc") {
		t.Errorf("evidence of the kernel: %+v", p)
	}
	if left := strings.Fields(must(t, "vm", "shell", forge, "sh", "-c", leftovers)); strings.Join(left, " ") != "0 0" {
		t.Errorf("after the build: directories and processes %v", left)
	}
}

// roomy writes a template with room for compilers.
func roomy(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(template(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "forge.yaml")
	text = []byte(strings.NewReplacer("disk: 4GiB", "disk: 10GiB", "memory: 1GiB", "memory: 2GiB").Replace(string(text)))
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// seed unpacks the compiler cache that scripts/e2e-lima.sh made into a running guest.
func seed(t *testing.T, name string) {
	t.Helper()
	g := opened(t, found(t, name))
	defer g.Close()
	const packed = "/var/tmp/seed.tar"
	if err := g.Put(t.Context(), need(t, "INGOT_E2E_SEED"), packed, 0o644); err != nil {
		t.Fatal(err)
	}
	script := "mkdir -p /var/tmp/ingot-cache/ccache && tar -xf " + packed + " -C /var/tmp/ingot-cache/ccache && rm " + packed
	if err := g.Run(t.Context(), guest.Cmd{Argv: []string{"sh", "-c", script}}); err != nil {
		t.Fatal(err)
	}
}

// cancelInside starts the build and cancels it while the compiler runs.
func cancelInside(t *testing.T) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(need(t, "INGOT_E2E_BIN"), "build", "--guest", "lima:"+forge, tinyTarget, "--until", "kernel")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	compiling := false
	for end := time.Now().Add(20 * time.Minute); !compiling && time.Now().Before(end); time.Sleep(5 * time.Second) {
		out, _, _ := ingot(t, "vm", "shell", forge, "pgrep", "-c", "cc1")
		compiling = strings.TrimSpace(out) != "" && strings.TrimSpace(out) != "0"
	}
	must(t, "cancel", tinyTarget)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("the cancelled build: %v\n%s", err, &said)
	}
	if !compiling {
		t.Fatalf("no compiler ran:\n%s", &said)
	}
}
