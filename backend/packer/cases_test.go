package packer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mac = "darwin/arm64"

// idsOf returns the ids of findings, sorted.
func idsOf(findings []Finding) (ids []string) {
	for _, f := range findings {
		if !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// Each template of testdata/cases gets exactly the ids of EXPECTED on a Mac, with its log
// and without.
func TestCases(t *testing.T) {
	b, err := os.ReadFile("testdata/cases/EXPECTED")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n++
		t.Run(f[0], func(t *testing.T) {
			want := f[1:]
			if want[0] == "none" {
				want = nil
			}
			slices.Sort(want)
			opt := Options{Path: filepath.Join("testdata/cases", f[0]+".pkr.hcl"), For: mac}
			check(t, opt, want)
			opt.Log = filepath.Join("testdata/cases", f[0]+".log")
			if _, err := os.Stat(opt.Log); err == nil {
				check(t, opt, want)
			}
		})
	}
	if n < 9 {
		t.Errorf("only %d cases", n)
	}
}

func check(t *testing.T, opt Options, want []string) {
	t.Helper()
	d, err := Diagnose(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := idsOf(d.Findings); !slices.Equal(got, want) {
		t.Errorf("%s %s: %v, want %v", opt.Path, opt.Log, got, want)
		for _, f := range d.Findings {
			t.Logf("%s %s %s: %s (%s)", f.ID, f.Position(), f.Written, f.Why, f.From)
		}
	}
	for _, p := range d.Problems {
		t.Logf("problem: %s", p)
	}
}
