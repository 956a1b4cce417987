package desktop

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTerminalFor(t *testing.T) {
	got, err := terminalFor([]string{"limactl", "shell", "a b"}, func(name string) bool { return name == "gnome-terminal" || name == "xterm" })
	if want := []string{"gnome-terminal", "--", "limactl", "shell", "a b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := terminalFor([]string{"limactl", "shell", "x"}, func(string) bool { return false }); err == nil || !strings.Contains(err.Error(), "limactl shell x") {
		t.Errorf("%v does not say what to run", err)
	}
}

// The script for Terminal runs the very words, with the variables, and is gone.
func TestCommandFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "it's.command")
	text := commandFile([]string{"printf", "%s|", "a b", "it's", "$HOME", "$LIMA_HOME"}, []string{"LIMA_HOME=/x 'y"})
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", file).CombinedOutput()
	if want := "a b|it's|$HOME|$LIMA_HOME|"; err != nil || string(out) != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the script is still there")
	}
}
