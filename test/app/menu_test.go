//go:build e2e

package app

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nowhere fails at once: no guest has its compiler.
const nowhere = "apiVersion: ingot/v1\nkind: Target\nextends: debian-12-arm64\nlock: debian-12-arm64\nname: nowhere\nkernel: {crossCompile: nosuch-}\n"

// The whole way of a click: the menu shows reality, Build builds, the labels
// change in place, the failure is told with its cause, and a click on the note
// opens the window there.
func TestMenu(t *testing.T) {
	h := newHome(t)
	h.write(t, "config/targets/nowhere.yaml", nowhere)
	h.write(t, "config/targets/broken.yaml", "apiVersion: ingot/v1\nkind: Target\nname: broken\nnonsense: 1\n")
	d := startDaemon(t)
	panel := startHost(t)
	app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	icon := panel.icon(t)
	t.Logf("registered %d ms after the start", icon.at.Sub(app.start).Milliseconds())

	panel.await(t, icon, "1 failed") // the broken one
	build := panel.await(t, icon, "Build", "nowhere · not built")
	t.Logf("the menu:\n%s", show(t, panel.menu(t, icon), "  "))
	if _, ok := find(t, panel.menu(t, icon), "Bild", "nowhere"); ok {
		t.Error("an item that is not there was found")
	}
	// a recipe that does not parse says where, and can't be built
	panel.await(t, icon, "✗ broken: The recipe cannot be used: broken.yaml:4: ")
	broken := panel.await(t, icon, "Build", "broken · broken.yaml:4: ")
	if broken.enabled() {
		t.Error("a broken recipe can be built")
	}
	// what is off does nothing, though a host may send the click
	panel.click(t, icon, broken)

	panel.click(t, icon, build)
	n := d.next(t)
	if n.title != "nowhere failed" || !strings.Contains(n.body, "nosuch-gcc") || n.replaces != 0 {
		t.Errorf("notification: %+v", n)
	}
	panel.await(t, icon, "✗ nowhere: ", "See Why and Fix…")
	panel.await(t, icon, "Build", "nowhere · failed: ")
	panel.await(t, icon, "2 failed")

	// only one build was begun: the click on what is off did nothing
	builds, err := filepath.Glob(filepath.Join(h.dir, "data", "builds", "nowhere", "*-*-*")) // not the list
	if err != nil || len(builds) != 1 {
		t.Fatalf("builds: %v, %v", builds, err)
	}
	d.click(t)
	route := "route=target/nowhere"
	until(t, "the window's route", func() bool { return strings.Contains(app.says.String(), route) })
	if w, ok := awaitWindow(t, h); ok {
		panel.click(t, icon, panel.await(t, icon, "Settings…")) // the same window goes there
		until(t, "the settings", func() bool { return strings.Contains(app.says.String(), "route=settings") })
		if got := len(windows()); got != 1 {
			t.Errorf("%d windows", got)
		}
		w.drawn(t, "window-from-note")
	}
}

// A second launch hands over to the first and ends.
func TestSecondLaunch(t *testing.T) {
	h := newHome(t)
	panel := startHost(t)
	app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	panel.icon(t)
	second := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	if err := second.end(t); err != nil || !strings.Contains(second.says.String(), "running already") {
		t.Errorf("%v: %s", err, second.says)
	}
	until(t, "the window", func() bool { return strings.Contains(app.says.String(), "msg=window") })
	awaitWindow(t, h)
}

// Without an owner the menu stays and says so; when there is one again it goes
// on. Quit ends the process and leaves nothing.
func TestOwnerGone(t *testing.T) {
	h := newHome(t)
	panel := startHost(t)
	app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	icon := panel.icon(t)
	panel.await(t, icon, "no image yet")
	program := filepath.Join(h.bin, "ingot")
	if err := os.Rename(program, program+".away"); err != nil {
		t.Fatal(err)
	}
	h.write(t, "bin/ingot", "#!/bin/sh\nexit 1\n")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	kill(t, h)
	panel.await(t, icon, "Not connected: ")
	panel.await(t, icon, "Build", "debian-12-arm64")
	panel.await(t, icon, "last known: ")
	if err := os.Rename(program+".away", program); err != nil {
		t.Fatal(err)
	}
	panel.await(t, icon, "no image yet")
	// as a panel that shows the menu: it is not built anew under the pointer
	panel.event(t, icon, 0, "opened")
	panel.click(t, icon, panel.await(t, icon, "Quit Ingot"))
	if err := app.end(t); err != nil {
		t.Errorf("%v: %s", err, app.says)
	}
	left, err := filepath.Glob(filepath.Join(h.dir, "data", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if strings.Contains(f, "crash-menu") || strings.HasSuffix(f, "menu.sock") {
			t.Errorf("%s is left", f)
		}
	}
}

// Where nothing shows icons the window opens instead, and the program says why.
func TestNoHost(t *testing.T) {
	h := newHome(t)
	app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	until(t, "the word", func() bool { return strings.Contains(app.says.String(), "the window opens instead") })
	if w, ok := awaitWindow(t, h); ok {
		w.close(t)
	}
	// with the window goes the process that nobody can see
	if err := app.end(t); err != nil && !strings.Contains(app.says.String(), noWindow) {
		t.Errorf("%v: %s", err, app.says)
	}
}

// The window's close button ends its process in good order, and with it the
// menu that nobody can see, also while the mouse moves.
func TestClose(t *testing.T) {
	h := newHome(t)
	app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	w, ok := awaitWindow(t, h)
	if !ok {
		return
	}
	w.drawn(t, "close")
	move := start(t, os.Environ(), "sh", "-c", "while :; do xdotool mousemove 400 300 mousemove 500 400; done")
	pid, _ := exec.Command("xdotool", "getwindowpid", w.id).Output()
	run(t, "xdotool", "windowactivate", "--sync", w.id, "key", "alt+F4")
	for range 2 { // a key may be lost while the pointer moves
		select {
		case <-app.ended:
		case <-time.After(10 * time.Second):
			out, err := exec.Command("xdotool", "windowactivate", w.id, "key", "alt+F4").CombinedOutput()
			t.Logf("asked again to close: %v %s", err, out)
		}
	}
	select {
	case <-app.ended:
	case <-time.After(10 * time.Second): // its log then says where it hangs
		if n, err := strconv.Atoi(strings.TrimSpace(string(pid))); err == nil {
			_ = syscall.Kill(n, syscall.SIGQUIT)
		}
	}
	if err := app.end(t); err != nil {
		t.Errorf("%v: %s", err, app.says)
	}
	_ = move.cmd.Process.Kill()
	<-move.ended
}

// A window opens where and as large as the last one was, however that ended; a
// route that is asked for comes first.
func TestSamePlace(t *testing.T) {
	h := newHome(t)
	open := func(route ...string) (*program, appWindow) {
		p := start(t, h.env(), append([]string{filepath.Join(h.bin, "ingot-app"), "window"}, route...)...)
		w := appWindow{pid: p.cmd.Process.Pid}
		until(t, "the window", func() bool { // the last one's may still be there
			for _, w.id = range windows() {
				out, _ := exec.Command("xdotool", "getwindowpid", w.id).Output() // it may just go
				if strings.TrimSpace(string(out)) == strconv.Itoa(w.pid) {
					return true
				}
			}
			return strings.Contains(p.says.String(), noWindow)
		})
		if strings.Contains(p.says.String(), noWindow) {
			t.Skip("this ingot-app was built without its window")
		}
		return p, w
	}
	place := func() (kept struct {
		Route         string
		Width, Height int
	}) {
		text, err := os.ReadFile(filepath.Join(h.dir, "data", "window.json"))
		if err != nil || json.Unmarshal(text, &kept) != nil {
			t.Fatalf("%s, %v", text, err)
		}
		return kept
	}
	p, w := open("targets")
	w.drawn(t, "same-place")
	run(t, "xdotool", "windowsize", w.id, "1010", "650")
	until(t, "the size", func() bool { return strings.Contains(run(t, "xdotool", "getwindowgeometry", w.id), "1010x650") })
	run(t, "xdotool", "sleep", "0.5") // the toolkit is told of it, too
	run(t, "xdotool", "windowactivate", w.id, "key", "alt+F4")
	if err := p.end(t); err != nil {
		t.Fatalf("%v: %s", err, p.says)
	}
	if k := place(); k.Route != "targets" || k.Width < 1000 || k.Height < 640 {
		t.Errorf("kept: %+v", k)
	}
	p, w = open()
	until(t, "the size of before", func() bool { return strings.Contains(run(t, "xdotool", "getwindowgeometry", w.id), "1010x650") })
	w.close(t)
	_ = p.end(t) // ended from outside
	if k := place(); k.Route != "targets" {
		t.Errorf("kept by one that was ended: %+v", k)
	}
	p, w = open("settings")
	w.drawn(t, "other-place")
	w.close(t)
	_ = p.end(t)
	if k := place(); k.Route != "settings" {
		t.Errorf("kept after another route: %+v", k)
	}
}
