package hometest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var Update = flag.Bool("update", false, "write the golden files anew")

// Golden compares text with a file of testdata.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *Update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		have, was := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for _, l := range have {
			if !slices.Contains(was, l) {
				t.Errorf("%s: new: %s", file, l)
			}
		}
		for _, l := range was {
			if !slices.Contains(have, l) {
				t.Errorf("%s: gone: %s", file, l)
			}
		}
		t.Errorf("%s differs", file)
	}
}
