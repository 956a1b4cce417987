//go:build e2e

package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// noWindow is what a program built without the window says in the window's stead.
const noWindow = "no window in this build"

// appWindow is the app's window on the X server.
type appWindow struct {
	id  string
	pid int
}

// windows are the ids of the app's windows.
func windows() []string {
	out, _ := exec.Command("xdotool", "search", "--onlyvisible", "--name", "^Ingot$").Output() // none is exit 1
	return strings.Fields(string(out))
}

// awaitWindow waits until the window's process shows its window; false where
// the program has none. The window is closed at the test's end.
func awaitWindow(t *testing.T, h home) (appWindow, bool) {
	t.Helper()
	var w appWindow
	until(t, "the window", func() bool {
		log, _ := os.ReadFile(filepath.Join(h.dir, "data", "window.log")) // it may not be there yet
		if strings.Contains(string(log), noWindow) {
			return true
		}
		ids := windows()
		if len(ids) == 0 {
			return false
		}
		out, err := exec.Command("xdotool", "getwindowpid", ids[0]).Output()
		if err != nil {
			return false
		}
		w.id = ids[0]
		w.pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
		return err == nil
	})
	if w.pid == 0 {
		t.Log("this ingot-app was built without its window, which is not tested")
		return w, false
	}
	t.Cleanup(func() { w.close(t) })
	return w, true
}

// close ends the window's process, and waits until it is gone.
func (w appWindow) close(t *testing.T) {
	t.Helper()
	_ = syscall.Kill(w.pid, syscall.SIGTERM) // it may be closed already
	until(t, "the window's end", func() bool {
		if syscall.Kill(w.pid, 0) != nil {
			return true
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(w.pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ") // its parent has not looked yet
	})
}

// drawn waits until the window shows more than a ground, and keeps a picture
// where INGOT_E2E_SHOTS says.
func (w appWindow) drawn(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("INGOT_E2E_SHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	file := filepath.Join(dir, name+".png")
	until(t, "the window's picture", func() bool {
		if err := exec.Command("import", "-window", w.id, file).Run(); err != nil {
			return false
		}
		out, err := exec.Command("identify", "-format", "%k", file).Output()
		colours, cerr := strconv.Atoi(strings.TrimSpace(string(out)))
		return err == nil && cerr == nil && colours > 16
	})
}
