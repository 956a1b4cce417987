package desktop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAtLogin(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	file := filepath.Join(dir, "autostart", "ingot.desktop")
	if AtLogin() {
		t.Error("it starts without an entry")
	}
	for range 2 {
		if err := SetAtLogin(true, "/opt/In got/ingot-app"); err != nil || !AtLogin() {
			t.Fatalf("on: %v", err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "\nExec=\"/opt/In got/ingot-app\"\n") {
		t.Errorf("%v:\n%s", err, text)
	}
	if err := os.WriteFile(file, append(text, "Hidden=true\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if AtLogin() {
		t.Error("a hidden entry counts")
	}
	for range 2 {
		if err := SetAtLogin(false, ""); err != nil || AtLogin() {
			t.Errorf("off: %v", err)
		}
	}
}

// In an Exec line some characters have a meaning of their own.
func TestEntryQuotes(t *testing.T) {
	if e := entry("/a\"b$c`d%e\\f"); !strings.Contains(e, `Exec="/a\\"b\\$c\\`+"`"+`d%%e\\\\f"`) {
		t.Error(e)
	}
}
