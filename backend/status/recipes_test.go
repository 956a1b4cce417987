package status

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/hometest"
)

// Only a text without mistakes is saved, into a file of the user's own, and not over what
// another program has written since.
func TestSaveRecipe(t *testing.T) {
	b := hometest.Open(t)
	file, err := Fork(t.Context(), b, "debian-12-arm64", "mine")
	if err != nil {
		t.Fatal(err)
	}
	b = hometest.Reopen(t)
	path, text, own, err := RecipeSource(b, "mine")
	if err != nil || !own || path != file {
		t.Fatalf("%s (own %v), want %s: %v", path, own, file, err)
	}
	better := strings.Replace(text, "\nvariant: ", "\nvariant: very-", 1)
	for name, c := range map[string]struct{ target, before, text, want string }{
		"a mistake":       {"mine", text, text + "nonsense: 1\n", "no such key"},
		"another program": {"mine", "what was read before", better, "another program"},
		"a shipped one":   {"debian-12-arm64", "", better, "part of Ingot"},
		"an unknown one":  {"none", "", better, "no target"},
	} {
		if err := SaveRecipe(b, c.target, c.before, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != text {
		t.Fatalf("a refused text was written: %q, %v", now, err)
	}
	if err := SaveRecipe(b, "mine", text, better); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != better {
		t.Errorf("%q, %v", now, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Errorf("beside it: %q", left)
	}
	whole, base, err := TryRecipe(b, "mine", better)
	if err != nil || !strings.Contains(whole, "variant: very-") || !strings.Contains(whole, "arch: arm64") || !strings.Contains(base, "name: debian-12-arm64\n") {
		t.Errorf("%s\nextends\n%s, %v", whole, base, err)
	}
}
