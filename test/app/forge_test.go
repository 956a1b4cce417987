//go:build e2e

package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lean is the small real target of test/targets.
const lean = "debian-12-arm64-lean"

// buildLimit bounds the build of the lean target: without hardware
// virtualisation its two boots take minutes, and a cold kernel many.
const buildLimit = 40 * time.Minute

// forge is a home with the lean target over the caches of this machine's user.
func forge(t *testing.T) (home, []string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	h.write(t, "config/.keep", "")
	run(t, "cp", "-r", "../targets", filepath.Join(h.dir, "config", "targets"))
	return h, append(h.env(), "INGOT_CACHE="+filepath.Join(cache, "ingot"))
}

// soon waits for what a build brings.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !comes(buildLimit, holds) {
		t.Fatalf("%s did not come within %s", what, buildLimit)
	}
}

// relabelled tells whether a label that holds all of the texts was changed in
// place to another one that does, and gives the last.
func (h *host) relabelled(texts ...string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	last := ""
next:
	for _, u := range h.updates {
		for _, text := range texts {
			if !strings.Contains(u.label, text) {
				continue next
			}
		}
		seen[u.label], last = true, u.label
	}
	return last, len(seen) > 1
}

// The product's whole way: Build is clicked in the menu, its title changes live,
// a real image is made, booted and published, a click on the notification opens
// the window at the artifact, and its card is dragged into the file manager. Built again
// where builds run in the forge VM, it finds all done and starts none.
func TestForge(t *testing.T) {
	h, env := forge(t)
	d := startDaemon(t)
	panel := startHost(t)
	app := start(t, env, filepath.Join(h.bin, "ingot-app"))
	icon := panel.icon(t)
	panel.click(t, icon, panel.await(t, icon, "Build", lean))
	soon(t, "a live title", func() bool {
		label, changed := panel.relabelled(lean, "kernel", "%")
		if changed {
			t.Logf("changed in place: %s", label)
		}
		return changed
	})
	soon(t, "the notification", func() bool { return len(d.notes) > 0 })
	if n := d.next(t); n.title != lean+" is done" || !strings.Contains(n.body, "boots, published") {
		t.Fatalf("notification: %+v", n)
	}
	panel.await(t, icon, "1 ready")
	d.click(t)
	w, ok := awaitWindow(t, h)
	if !ok {
		t.Skip("this ingot-app was built without its window")
	}
	artifacts, err := filepath.Glob(filepath.Join(h.dir, "data", "outputs", "export-*", "*.qcow2"))
	if err != nil || len(artifacts) != 1 {
		t.Fatalf("artifacts: %v, %v", artifacts, err)
	}
	place(t, 20, 40, 900, 330, "--name", "^Ingot$")
	w.drawn(t, "artifact")
	into := t.TempDir()
	start(t, h.env(), "pcmanfm", "--no-desktop", into)
	x1, y1 := place(t, 20, 440, 900, 300, "--class", "pcmanfm")
	at := frameOf(t, w.id)
	drag(t, at.x+300, at.y+32, x1+200, y1+60)
	arrived := filepath.Join(into, filepath.Base(artifacts[0])) // proven: its name says nothing else
	until(t, "the file", func() bool { return sameBytes(artifacts[0], arrived) == nil })
	w.close(t)
	views(t, h, env)
	if err := app.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := app.end(t); err != nil {
		t.Errorf("%v: %s", err, app.says)
	}
	again(t, h, env, panel)
}

// views shows every view of the home, light and dark.
func views(t *testing.T, h home, env []string) {
	t.Helper()
	proofs, err := filepath.Glob(filepath.Join(h.dir, "data", "builds", lean, "*", "evidence", "proof-*.json"))
	if err != nil || len(proofs) == 0 {
		t.Fatalf("proofs: %v, %v", proofs, err)
	}
	run(t, "dunstctl", "close-all") // the notification would stand in every picture
	routes := []string{"reality/" + lean, "builds/" + lean, "targets/" + lean, "artifacts", "notary", "settings", "evidence/" + strings.TrimSuffix(filepath.Base(proofs[0]), ".json")}
	for _, theme := range []string{"light", "dark"} {
		app := start(t, append(env, "FYNE_THEME="+theme), filepath.Join(h.bin, "ingot-app"), "window", routes[0])
		until(t, "the window", func() bool { return len(windows()) == 1 })
		place(t, 40, 40, 1100, 700, "--name", "^Ingot$")
		w := appWindow{id: windows()[0], pid: app.cmd.Process.Pid}
		for _, r := range routes {
			again := exec.Command(filepath.Join(h.bin, "ingot-app"), "window", r) // the open window goes there
			again.Env = env
			if out, err := again.CombinedOutput(); err != nil {
				t.Fatalf("window %s: %v\n%s", r, err, out)
			}
			xdo(t, "sleep", "1") // nothing outside tells when it is drawn
			w.drawn(t, strings.Split(r, "/")[0]+"-"+theme)
		}
		w.close(t)
		if strings.Contains(app.says.String(), "Error in Fyne call thread") {
			t.Errorf("a widget was used off the main goroutine:\n%s", app.says)
		}
	}
}
