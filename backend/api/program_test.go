package api

import (
	"os"
	"path/filepath"
	"testing"
)

// A face finds the owner's program beside it, or in the bundle around it, and
// takes no other for it.
func TestOwnerOf(t *testing.T) {
	contents := filepath.Join(t.TempDir(), "Ingot.app", "Contents")
	nested := filepath.Join(contents, "Helpers", "Ingot Window.app", "Contents", "MacOS")
	for _, dir := range []string{nested, filepath.Join(contents, "MacOS")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	window, menu, owner := filepath.Join(nested, "ingot-window"), filepath.Join(contents, "MacOS", "ingot-app"), filepath.Join(contents, "MacOS", "ingot")
	for _, face := range []string{window, menu} {
		if got, err := ownerOf(face); err == nil {
			t.Errorf("%s without an owner: %s", face, got)
		}
	}
	if err := os.WriteFile(owner, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, self := range []string{window, menu, owner} {
		if got, err := ownerOf(self); err != nil || got != owner {
			t.Errorf("%s: %s, %v", self, got, err)
		}
	}
}
