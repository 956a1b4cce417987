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
	fails["hvf"], fails["tcg"] = []error{errors.New("no")}, []error{errors.New("no")}
	c.key = "3"
	if _, err := c.choose(t.Context(), []string{"hvf", "tcg"}); err == nil || !strings.Contains(err.Error(), "hvf: no") {
		t.Errorf("nothing works: %v", err)
	}
}
