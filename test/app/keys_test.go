//go:build e2e

package app

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Without a mouse: `ingot open` shows a target's page, a key builds it, its failure is
// there, and keys lead through all pages.
func TestByKeys(t *testing.T) {
	h := newHome(t)
	h.write(t, "config/targets/nowhere.yaml", nowhere)
	open := exec.Command(filepath.Join(h.bin, "ingot"), "open", "nowhere")
	open.Env = h.env()
	if out, err := open.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w, ok := awaitWindow(t, h)
	if !ok {
		t.Skip("this ingot-app was built without its window")
	}
	w.drawn(t, "target")
	builds := func() int { return len(h.builds(t, "nowhere")) }
	if builds() != 0 {
		t.Fatal("a build before the key")
	}
	key := func(keys ...string) {
		t.Helper()
		run(t, append([]string{"xdotool", "windowactivate", "--sync", w.id, "key", "--clearmodifiers"}, keys...)...)
	}
	key("ctrl+b")
	until(t, "a build", func() bool { return builds() == 1 })
	until(t, "its end", func() bool {
		cmd := exec.Command(filepath.Join(h.bin, "ingot"), "status", "nowhere")
		cmd.Env = h.env()
		out, _ := cmd.CombinedOutput() // 5 says that something has not booted
		return bytes.Contains(out, []byte("guest.tool-missing"))
	})
	time.Sleep(time.Second) // the page is drawn anew
	w.drawn(t, "target-failed")
	for i := range 7 {
		key("ctrl+" + strconv.Itoa(i+1))
		time.Sleep(500 * time.Millisecond)
		w.drawn(t, "key-"+strconv.Itoa(i+1))
	}
	key("ctrl+w")
	until(t, "the window's end", func() bool { return len(windows()) == 0 })
	if text, err := os.ReadFile(filepath.Join(h.dir, "data", "window.json")); err != nil || !bytes.Contains(text, []byte("settings")) {
		t.Errorf("the last page is not remembered: %s, %v", text, err)
	}
}
