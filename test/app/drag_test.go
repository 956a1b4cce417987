//go:build e2e

package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"ingot/app/desktop"
)

// dragSource is the role of this test's program in which it is a window whose
// every point drags a file out: the window of the app stands in its place later.
const dragSource = "drag-source"

// runDragSource shows a window and lets the first press of a button drag file.
func runDragSource(file string) error {
	conn, err := xgb.NewConn()
	if err != nil {
		return err
	}
	defer conn.Close()
	screen := xproto.Setup(conn).DefaultScreen(conn)
	w, err := xproto.NewWindowId(conn)
	if err != nil {
		return err
	}
	events := uint32(xproto.EventMaskButtonPress | xproto.EventMaskButtonMotion | xproto.EventMaskButtonRelease)
	if err := xproto.CreateWindowChecked(conn, screen.RootDepth, w, screen.Root, 0, 0, 200, 120, 0, xproto.WindowClassInputOutput, screen.RootVisual, xproto.CwBackPixel|xproto.CwEventMask, []uint32{screen.WhitePixel, events}).Check(); err != nil {
		return err
	}
	xproto.ChangeProperty(conn, xproto.PropModeReplace, w, xproto.AtomWmName, xproto.AtomString, 8, uint32(len(dragSource)), []byte(dragSource))
	xproto.MapWindow(conn, w)
	ended := make(chan error, 1)
	for {
		e, err := conn.WaitForEvent()
		if e == nil && err == nil {
			return errors.New("the X server is gone")
		}
		if _, moved := e.(xproto.MotionNotifyEvent); !moved {
			continue
		}
		if err := desktop.StartDrag(context.Background(), 0, []string{file}, func(d desktop.Drop, err error) {
			fmt.Printf("drop accepted=%v copied=%v\n", d.Accepted, d.Copied)
			ended <- err
		}); err != nil {
			return err
		}
		return <-ended
	}
}

// xdo runs xdotool and returns its lines.
func xdo(t *testing.T, args ...string) []string {
	t.Helper()
	return strings.Fields(run(t, append([]string{"xdotool"}, args...)...))
}

// place puts the one window of a search somewhere and returns its middle.
func place(t *testing.T, x, y, w, h int, search ...string) (int, int) {
	t.Helper()
	id := ""
	until(t, "a window of "+strings.Join(search, " "), func() bool {
		out, err := exec.Command("xdotool", append([]string{"search", "--onlyvisible"}, search...)...).Output()
		ids := strings.Fields(string(out))
		if err != nil || len(ids) == 0 { // its --sync fails on windows that just come or go
			return false
		}
		id = ids[len(ids)-1]
		return true
	})
	var now, before frame
	until(t, "the window's place", func() bool { // one that has just come may still be given another by its program
		xdo(t, "windowsize", id, strconv.Itoa(w), strconv.Itoa(h))
		xdo(t, "windowmove", id, strconv.Itoa(x), strconv.Itoa(y))
		before, now = now, frameOf(t, id)
		t.Logf("%v: wanted %dx%d at %d,%d, is %+v", search, w, h, x, y, now)
		// the window manager's frame moves it a little, and it may have a least size
		near := func(a, b int) bool { return max(a-b, b-a) < 60 }
		return now == before && near(now.w, w) && near(now.h, h) && near(now.x, x) && near(now.y, y)
	})
	return now.x + now.w/2, now.y + now.h/2
}

// frame is where a window is on the screen, and how large.
type frame struct{ x, y, w, h int }

func frameOf(t *testing.T, id string) frame {
	t.Helper()
	var f frame
	for line := range strings.Lines(run(t, "xdotool", "getwindowgeometry", "--shell", id)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		n, err := strconv.Atoi(value)
		switch {
		case err != nil:
		case name == "X":
			f.x = n
		case name == "Y":
			f.y = n
		case name == "WIDTH":
			f.w = n
		case name == "HEIGHT":
			f.h = n
		}
	}
	return f
}

// drag holds the button from one point of the screen to another, in steps as a
// hand does. What is to be dragged may not have been drawn yet: like a hand, it
// tries again until a drag has begun.
func drag(t *testing.T, x0, y0, x1, y1 int) {
	t.Helper()
	at := func(x, y int) { xdo(t, "mousemove", strconv.Itoa(x), strconv.Itoa(y)) }
	const steps = 20
	until(t, "a drag", func() bool {
		at(x0, y0)
		xdo(t, "mousedown", "1")
		for i := 1; i <= steps/4; i++ {
			at(x0+(x1-x0)*i/steps, y0+(y1-y0)*i/steps)
			xdo(t, "sleep", "0.03")
		}
		for range 20 {
			if dragging(t) {
				return true
			}
			xdo(t, "sleep", "0.05")
		}
		xdo(t, "mouseup", "1")
		return false
	})
	for i := steps/4 + 1; i <= steps; i++ {
		at(x0+(x1-x0)*i/steps, y0+(y1-y0)*i/steps)
		xdo(t, "sleep", "0.03")
	}
	at(x1+3, y1+3) // the target's answer to the first position may be no
	xdo(t, "sleep", "0.4")
	at(x1, y1)
	xdo(t, "sleep", "0.4")
	xdo(t, "mouseup", "1")
}

// dragging tells whether anybody offers something for dropping.
func dragging(t *testing.T) bool {
	t.Helper()
	conn, err := xgb.NewConn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	name := "XdndSelection"
	atom, err := xproto.InternAtom(conn, false, uint16(len(name)), name).Reply()
	if err != nil {
		t.Fatal(err)
	}
	owner, err := xproto.GetSelectionOwner(conn, atom.Atom).Reply()
	if err != nil {
		t.Fatal(err)
	}
	return owner.Owner != 0
}

// sameBytes compares two files by their digests.
func sameBytes(a, b string) error {
	sums := [2]string{}
	for i, f := range []string{a, b} {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		sums[i] = hex.EncodeToString(sum[:])
	}
	if sums[0] != sums[1] {
		return fmt.Errorf("%s has sha256 %s, %s has %s", a, sums[0], b, sums[1])
	}
	return nil
}

// dragOut drags file from a window of ours into the file manager, and returns
// what arrived there. The file manager does nothing at all from the drag's
// begin until busy after its end.
func dragOut(t *testing.T, file string, busy time.Duration) string {
	t.Helper()
	into := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	source := start(t, os.Environ(), self, dragSource, file)
	manager := start(t, newHome(t).env(), "pcmanfm", "--no-desktop", into)
	x1, y1 := place(t, 500, 200, 600, 450, "--class", "pcmanfm")
	x0, y0 := place(t, 60, 80, 200, 120, "--name", dragSource)
	if busy > 0 {
		if err := manager.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	drag(t, x0, y0, x1+120, y1+60)
	if busy > 0 {
		time.Sleep(busy)
		if err := manager.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	arrived := filepath.Join(into, filepath.Base(file))
	until(t, "the file", func() bool {
		a, aerr := os.Stat(arrived)
		b, berr := os.Stat(file)
		return aerr == nil && berr == nil && a.Size() == b.Size()
	})
	if err := source.end(t); err != nil || !strings.Contains(source.says.String(), "accepted=true") {
		t.Errorf("%v: %s", err, source.says)
	}
	return arrived
}

// A file dragged into a real file manager is there, byte for byte; a source
// that was given another file is found out.
func TestDragOut(t *testing.T) {
	dir := t.TempDir()
	artifact, other := filepath.Join(dir, "debian 12_ä.qcow2"), filepath.Join(dir, "other.qcow2")
	for i, f := range []string{artifact, other} {
		if err := os.WriteFile(f, []byte(strings.Repeat(strconv.Itoa(i), 1<<20)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("the artifact", func(t *testing.T) {
		if err := sameBytes(artifact, dragOut(t, artifact, 0)); err != nil {
			t.Error(err)
		}
	})
	t.Run("into a busy file manager", func(t *testing.T) {
		if err := sameBytes(artifact, dragOut(t, artifact, 2*time.Second)); err != nil {
			t.Error(err)
		}
	})
	t.Run("another file", func(t *testing.T) { // the file manager is one process a display: one test after the other
		if err := sameBytes(artifact, dragOut(t, other, 0)); err == nil {
			t.Error("the wrong file passed")
		}
	})
}

// A file dropped on nothing goes nowhere, and the source says so.
func TestDragOntoNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.qcow2")
	if err := os.WriteFile(file, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	source := start(t, os.Environ(), self, dragSource, file)
	x, y := place(t, 60, 80, 200, 120, "--name", dragSource)
	drag(t, x, y, 900, 700)
	if err := source.end(t); err != nil || !strings.Contains(source.says.String(), "accepted=false") {
		t.Errorf("%v: %s", err, source.says)
	}
}

// The card of an artifact, dragged out of the app's own window: the file
// manager has the file, under a name that says that it is not what was proven.
func TestDragCard(t *testing.T) {
	h := newHome(t)
	if err := os.CopyFS(h.dir, os.DirFS("../../app/window/testdata/home")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(h.dir, "data/keys/retired-keys"), 0o600); err != nil { // git keeps no such modes
		t.Fatal(err)
	}
	file := recordedArtifact(t, h)
	h.write(t, file, strings.Repeat("no disk of ours", 1<<16))
	app := start(t, h.env(), filepath.Join(h.bin, "ingot-app"), "window", "artifacts")
	until(t, "the window", func() bool { return len(windows()) == 1 || strings.Contains(app.says.String(), noWindow) })
	if strings.Contains(app.says.String(), noWindow) {
		t.Skip("this ingot-app was built without its window")
	}
	place(t, 20, 40, 900, 330, "--name", "^Ingot$")
	w := appWindow{id: windows()[0]}
	w.drawn(t, "artifacts-to-drag")
	into := t.TempDir()
	start(t, h.env(), "pcmanfm", "--no-desktop", into)
	x1, y1 := place(t, 20, 440, 900, 300, "--class", "pcmanfm")
	at := frameOf(t, w.id)
	drag(t, at.x+300, at.y+32, x1+200, y1+60)
	var arrived []string
	until(t, "the file", func() bool {
		var err error
		arrived, err = filepath.Glob(filepath.Join(into, "*-CHANGED.qcow2"))
		return err == nil && len(arrived) == 1 && sameBytes(filepath.Join(h.dir, file), arrived[0]) == nil
	})
	t.Logf("arrived: %s", filepath.Base(arrived[0]))
}

// recordedArtifact is where the recorded home's artifact would lie.
func recordedArtifact(t *testing.T, h home) string {
	t.Helper()
	docs, err := filepath.Glob(filepath.Join(h.dir, "data/builds/*/*/evidence/artifact-*.json"))
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v %v", docs, err)
	}
	text, err := os.ReadFile(docs[0])
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct{ Payload []byte }
	var statement struct{ Predicate struct{ File string } }
	if err := errors.Join(json.Unmarshal(text, &envelope), json.Unmarshal(envelope.Payload, &statement)); err != nil || statement.Predicate.File == "" {
		t.Fatalf("%v: %s", err, text)
	}
	return filepath.Join("data", filepath.FromSlash(statement.Predicate.File))
}
