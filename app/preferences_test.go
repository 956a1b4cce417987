package app

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPreferences(t *testing.T) {
	dir := t.TempDir()
	if LoadPreferences(dir) != (Preferences{}) {
		t.Error("no file is a choice")
	}
	want := Preferences{Quiet: true}
	if err := want.Keep(dir); err != nil {
		t.Fatal(err)
	}
	if got := LoadPreferences(dir); got != want {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.json"), []byte(`{"quiet": tr`), 0o600); err != nil {
		t.Fatal(err)
	}
	if LoadPreferences(dir) != (Preferences{}) {
		t.Error("a broken file is a choice")
	}
	if err := want.Keep(filepath.Join(dir, "none")); err == nil {
		t.Error("kept in a folder that is not there")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".tmp-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
