package backend_test

import (
	"os"
	"regexp"
	"testing"
)

// docs/testing.md lists the mutations that scripts/mutations.sh makes with the
// tests that must fail: all of them, and no others.
func TestMutationsAreListed(t *testing.T) {
	script, err := os.ReadFile("../scripts/mutations.sh")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	packages, made := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(\w)=(backend/\S+)$`).FindAllStringSubmatch(string(script), -1) {
		packages[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^mutation '([^']+)' (?:\S+:)?\$(\w) (\w+) `).FindAllStringSubmatch(string(script), -1) {
		made[m[1]] = packages[m[2]] + " " + m[3]
	}
	if len(made) < 20 {
		t.Fatalf("the script makes %d mutations", len(made))
	}
	listed := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| (.+) \\| `(backend/\\S+)` (\\w+) \\|$").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = m[2] + " " + m[3]
	}
	for name, test := range made {
		if listed[name] != test {
			t.Errorf("%s: the page names %q, the script %q", name, listed[name], test)
		}
	}
	for name := range listed {
		if made[name] == "" {
			t.Errorf("%s: the page lists it, the script does not make it", name)
		}
	}
}
