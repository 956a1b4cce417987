package desktop

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// With standard error at /dev/null the log is a file; a large old one is renamed.
func TestOpenLog(t *testing.T) {
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	dir := t.TempDir()
	t.Setenv("INGOT_HOME", dir)
	file := filepath.Join(dir, "menu.log")
	if err := os.WriteFile(file, make([]byte, logLimit+1), 0o600); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stderr = null
	log, err := OpenLog(dir, "menu")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "hello" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "menu.1.log")); err != nil {
		t.Error(err)
	}
	seen, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	os.Stderr = seen
	if log, err := OpenLog(dir, "menu"); err != nil || log != seen {
		t.Errorf("standard error was not taken: %v", err)
	}
	t.Setenv("INGOT_HOME", "")
	if got := logDir("darwin", "/Users/me", dir); got != "/Users/me/Library/Logs/Ingot" {
		t.Error(got)
	}
	if got := logDir("linux", "/home/me", dir); got != dir {
		t.Error(got)
	}
}

// On macOS the window is started by LaunchServices, with Ingot's settings and no others.
func TestLaunch(t *testing.T) {
	env := []string{"INGOT_HOME=/x y", "AWS_SECRET_ACCESS_KEY=s", "LIMA_HOME=/l"}
	inside := "/Applications/Ingot.app/Contents/Helpers/Ingot Window.app/Contents/MacOS/ingot-window"
	got := launch("darwin", "/log", env, inside, "window", "builds/a")
	want := []string{"/usr/bin/open", "-n", "-W", "-a", "/Applications/Ingot.app/Contents/Helpers/Ingot Window.app", "--stdout", "/log", "--stderr", "/log", "--env", "INGOT_HOME=/x y", "--env", "LIMA_HOME=/l", "--args", "window", "builds/a"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, program := range []string{"/usr/local/bin/ingot-window", "/x/bin/ingot-app"} {
		if got := launch("darwin", "/log", env, program, "window"); strings.Join(got, " ") != program+" window" {
			t.Errorf("outside a bundle: %q", got)
		}
	}
	if got := launch("linux", "/log", env, inside, "window"); got[0] != inside {
		t.Errorf("elsewhere: %q", got)
	}
}
