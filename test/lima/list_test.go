//go:build e2e_lima

package lima

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ingot/backend/guest/lima"
)

// TestListing: eight instances are listed at least ten times faster than by
// limactl. Both are measured in turn, in one run; the medians are compared.
func TestListing(t *testing.T) {
	const instances, rounds, want = 8, 11, 10
	home, err := os.MkdirTemp(os.Getenv("HOME"), "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	t.Setenv("LIMA_HOME", home)
	image, template := filepath.Join(home, "_image"), filepath.Join(home, "_template.yaml")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(template, templateOf(image), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range instances {
		if out, err := exec.Command("limactl", "--tty=false", "create", fmt.Sprintf("--name=b%d", n), template).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	compare(t)
	var theirs, ours, whole []time.Duration
	for range rounds {
		theirs = append(theirs, took(t, func() error { return exec.Command("limactl", "list", "--json").Run() }))
		ours = append(ours, took(t, func() error {
			list, err := lima.Store{}.List(context.Background())
			if err == nil && len(list) != instances {
				err = fmt.Errorf("%d instances", len(list))
			}
			return err
		}))
		whole = append(whole, took(t, func() error { return exec.Command(need(t, "INGOT_E2E_BIN"), "vms", "--json").Run() }))
	}
	ratio := float64(median(theirs)) / float64(median(ours))
	t.Logf("%d instances, median of %d: limactl list --json %s, Store.List %s (%.0f times faster), ingot vms --json %s", instances, rounds, median(theirs), median(ours), ratio, median(whole))
	if ratio < want {
		t.Errorf("%.1f times faster, want %d", ratio, want)
	}
}

func took(t *testing.T, do func() error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2].Round(10 * time.Microsecond)
}
