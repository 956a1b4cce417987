package qemu

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A probe that was silent once is repeated; a failure is believed for an hour, a success
// until QEMU or the system change.
func TestChooser(t *testing.T) {
	at := time.Now()
	var probed []string
	fails := map[string][]error{}
	c := chooser{path: filepath.Join(t.TempDir(), "accel.json"), key: "1", now: func() time.Time { return at },
		probe: func(_ context.Context, name string) error {
			probed = append(probed, name)
			list := fails[name]
			if len(list) == 0 {
				return nil
			}
			fails[name] = list[1:]
			return list[0]
		}}
	choose := func(what, want, probes string) {
		t.Helper()
		probed = nil
		a, err := c.choose(t.Context(), []string{"hvf", "tcg"})
		if err != nil || a.Name != want || strings.Join(probed, " ") != probes {
			t.Errorf("%s: %s after the probes %v, %v; want %s after %q", what, a.Name, probed, err, want, probes)
		}
	}
	fails["hvf"] = []error{errProbeSilent, errProbeSilent}
	choose("twice silent", "tcg", "hvf hvf tcg")
	choose("soon after", "tcg", "")
	at = at.Add(failureKept + time.Second)
	fails["hvf"] = []error{errProbeSilent}
	choose("after an hour, silent once", "hvf", "hvf hvf")
	at = at.Add(100 * failureKept)
	choose("works for long", "hvf", "")
	c.key = "2"
	fails["hvf"] = []error{errors.New("HV_DENIED")}
	choose("another QEMU", "tcg", "hvf tcg")
	at = at.Add(-10 * failureKept)
	choose("the clock went back", "hvf", "hvf")
	c.keep(Accel{Name: "tcg", Tried: []string{"hvf: firmware.silent"}}) // as Distrust does
	choose("a machine hung", "tcg", "")
	at = at.Add(failureKept + time.Second)
	choose("an hour later", "hvf", "hvf")
	fails["hvf"], fails["tcg"] = []error{errors.New("no")}, []error{errors.New("no")}
	c.key = "3"
	if _, err := c.choose(t.Context(), []string{"hvf", "tcg"}); err == nil || !strings.Contains(err.Error(), "hvf: no") {
		t.Errorf("nothing works: %v", err)
	}
}

// A QEMU whose machine KVM has stopped does not end by itself: it is not waited for.
func TestStoppedByKVM(t *testing.T) {
	began := time.Now()
	err := listen(t.Context(), "/bin/sh", []string{"-c", "echo 'KVM internal error. Suberror: 1' >&2; echo 'emulation failure' >&2; exec sleep 60"}, "")
	if err == nil || !strings.Contains(err.Error(), "KVM internal error") || errors.Is(err, errProbeSilent) {
		t.Errorf("%v", err)
	}
	if spent := time.Since(began); spent > probeTimeout-time.Second {
		t.Errorf("it was waited for: %s", spent)
	}
	if err := listen(t.Context(), "/bin/sh", []string{"-c", "printf x; exec sleep 60"}, ""); err != nil {
		t.Errorf("a console with output: %v", err)
	}
}
