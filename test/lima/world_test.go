//go:build e2e_lima

package lima

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ingot/backend/guest/lima"
)

// vm is the instance that the tests share. Whoever needs it calls running or
// stopped; a start costs two minutes under TCG.
const vm = "vm"

// templateText is the guest's lima.yaml, with GUEST for the path of its disk. Plain mode
// leaves out Lima's guest agent, which a start waits another minute for; cpuType stands
// where 1.2 knows it. The test of the app's menu uses it too.
//
//go:embed guest.yaml
var templateText string

// templateOf is the guest's lima.yaml with a disk.
func templateOf(disk string) []byte { return []byte(strings.ReplaceAll(templateText, "GUEST", disk)) }

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("KEEP") == "" {
		for _, name := range instances() { // whatever a failed test left
			_ = exec.Command("limactl", "--tty=false", "delete", "--force", name).Run()
		}
	}
	os.Exit(code)
}

func instances() []string {
	list, err := lima.Store{}.List(context.Background())
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

// need is an environment variable that scripts/e2e-lima.sh sets.
func need(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: run make e2e-lima", name)
	}
	return v
}

// template writes the guest's lima.yaml and returns its path.
func template(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guest.yaml")
	if err := os.WriteFile(path, templateOf(need(t, "INGOT_E2E_GUEST")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// ingot runs the program; code is its exit code.
func ingot(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(need(t, "INGOT_E2E_BIN"), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

// must is ingot where it must exit with 0.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := ingot(t, args...)
	if code != 0 {
		t.Fatalf("ingot %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// refused is ingot where it must end with code and say each of the words.
func refused(t *testing.T, code int, words string, args ...string) {
	t.Helper()
	out, errs, got := ingot(t, args...)
	if got != code {
		t.Errorf("ingot %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	for _, w := range strings.Fields(words) {
		if !strings.Contains(errs, w) {
			t.Errorf("ingot %s does not say %q:\n%s", strings.Join(args, " "), w, errs)
		}
	}
}

// found is an instance as the store tells it.
func found(t *testing.T, name string) lima.Instance {
	t.Helper()
	i, err := lima.Store{}.Instance(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var made sync.Once

// create makes the shared instance, once.
func create(t *testing.T) lima.Instance {
	t.Helper()
	made.Do(func() {
		if _, err := (lima.Store{}).Instance(vm); err == nil { // of a run with KEEP=1
			return
		}
		must(t, "vm", "create", vm, template(t))
	})
	return found(t, vm)
}

// running is the shared instance, started by `ingot vm start` where it does not
// run, and ready.
func running(t *testing.T) lima.Instance {
	t.Helper()
	i := create(t)
	if i.Status != lima.Running || i.Phase != lima.Ready {
		began := time.Now()
		must(t, "vm", "start", vm)
		t.Logf("ready after %.0f s", time.Since(began).Seconds())
	}
	if i = found(t, vm); i.Status != lima.Running || i.Phase != lima.Ready {
		t.Fatalf("%s %s: %s", i.Status, i.Phase, i.Problem)
	}
	return i
}

// stopped is the shared instance, shut down by `ingot vm stop` where it runs.
func stopped(t *testing.T) lima.Instance {
	t.Helper()
	if create(t).Status != lima.Stopped {
		began := time.Now()
		must(t, "vm", "stop", vm)
		t.Logf("stopped after %.0f s", time.Since(began).Seconds())
	}
	i := found(t, vm)
	if i.Status != lima.Stopped {
		t.Fatalf("%s: %s", i.Status, i.Problem)
	}
	return i
}

// stage does a part of a test, and logs how long that took.
func stage(t *testing.T, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	t.Logf("%s: %.0f s", what, time.Since(began).Seconds())
}
