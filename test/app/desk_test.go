//go:build e2e

package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// bin is where `make` puts the programs.
var bin string

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == dragSource {
		if err := runDragSource(os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(func() int {
		var err error
		if bin, err = filepath.Abs("../../bin"); err != nil {
			fmt.Println(err)
			return 1
		}
		if os.Getenv("INGOT_E2E_BUS") == "" {
			fmt.Println("these tests want a session bus of their own: make e2e-app")
			return 1
		}
		stop, err := startX()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer stop()
		return m.Run()
	}())
}

// startX starts an X server with a window manager.
func startX() (stop func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	x := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp")
	x.ExtraFiles = []*os.File{w}
	if err := x.Start(); err != nil {
		return nil, err
	}
	_ = w.Close() // the server has its own
	end := func() { _ = x.Process.Kill(); _ = x.Wait() }
	line := make([]byte, 16)
	n, err := r.Read(line)
	if err != nil {
		end()
		return nil, fmt.Errorf("Xvfb: %w", err)
	}
	if err := os.Setenv("DISPLAY", ":"+strings.TrimSpace(string(line[:n]))); err != nil {
		return nil, err
	}
	wm := exec.Command("openbox")
	if err := wm.Start(); err != nil {
		end()
		return nil, err
	}
	stop = func() { _ = wm.Process.Kill(); _ = wm.Wait(); end() }
	for range 200 { // until the window manager takes windows: it tells by properties of the root window
		if out, err := exec.Command("xprop", "-root", "_NET_SUPPORTING_WM_CHECK", "_NET_CLIENT_LIST").Output(); err == nil && bytes.Count(out, []byte("window id")) == 2 {
			return stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return nil, errors.New("openbox did not come up")
}

// output collects what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// program is one that runs beside the test.
type program struct {
	cmd   *exec.Cmd
	says  *output
	ended chan struct{} // closed
	err   error         // of its end
	start time.Time
}

// start runs a program until the test's end.
func start(t *testing.T, env []string, argv ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(argv[0], argv[1:]...), says: &output{}, ended: make(chan struct{}), start: time.Now()}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, p.says, io.MultiWriter(p.says)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-p.ended:
		case <-time.After(limit):
			t.Errorf("%s does not end", argv[0])
			p.dump()
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", argv[0], p.says)
		}
	})
	return p
}

// end waits for a program's end.
func (p *program) end(t *testing.T) error {
	t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(limit):
		p.dump()
		t.Fatalf("%s does not end; it said:\n%s", p.cmd.Path, p.says)
		return nil
	}
}

// dump ends a program that hangs; what it said then tells where, if it is ours.
func (p *program) dump() {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.ended:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// until waits for something that has no event of its own to wait for.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !comes(limit, holds) {
		t.Fatalf("%s did not come", what)
	}
}

// comes looks again and again whether something holds.
func comes(d time.Duration, holds func() bool) bool {
	for end := time.Now().Add(d); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// home is a fresh home with a copy of the programs beside each other.
type home struct{ dir, bin string }

func newHome(t *testing.T) home {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "ingot-app-")
	if err != nil {
		t.Fatal(err)
	}
	h := home{dir, filepath.Join(dir, "bin")}
	h.write(t, "bin/.keep", "")
	for _, name := range []string{"ingot", "ingot-app", "ingot-window"} {
		if err := os.Link(filepath.Join(bin, name), filepath.Join(h.bin, name)); err != nil {
			run(t, "cp", filepath.Join(bin, name), filepath.Join(h.bin, name))
		}
	}
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "data", "window.log")); err == nil && t.Failed() {
			t.Logf("the window said:\n%s", log)
		}
		stop := exec.Command(filepath.Join(bin, "ingot"), "owner", "stop")
		stop.Env = h.env()
		_ = stop.Run() // one that has left is as good
		until(t, "the owner's end", func() bool { _, err := os.Stat(filepath.Join(dir, "data", "owner.sock")); return err != nil })
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h home) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h home) env() []string {
	return append(os.Environ(), "INGOT_HOME="+h.dir, "INGOT_KEYCHAIN=off", "HOME="+h.dir, "XDG_CONFIG_HOME="+filepath.Join(h.dir, "xdg"))
}

// run runs a program to its end.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

// note is what a program asked the notification daemon to show.
type note struct {
	replaces    uint32
	title, body string
	actions     []string
}

// daemon is a real notification daemon, and what it was asked.
type daemon struct {
	conn  *dbus.Conn
	notes chan note
}

// named waits until somebody has a name on the session bus.
func named(t *testing.T, name string) {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	until(t, name, func() bool {
		var there bool
		return conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&there) == nil && there
	})
}

// startDaemon starts dunst and listens on the bus as a monitor.
func startDaemon(t *testing.T) *daemon {
	t.Helper()
	rc := filepath.Join(t.TempDir(), "dunstrc")
	if err := os.WriteFile(rc, []byte("[global]\nfont = Monospace 8\n[urgency_normal]\ntimeout = 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, os.Environ(), "dunst", "-config", rc)
	named(t, "org.freedesktop.Notifications")
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	spy, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{conn, make(chan note, 64)}
	seen := make(chan *dbus.Message, 256)
	rules := []string{"type='method_call',interface='org.freedesktop.Notifications',member='Notify'"}
	if err := spy.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, rules, uint32(0)).Err; err != nil {
		t.Fatal(err)
	}
	spy.Eavesdrop(seen) // from now on: it takes the answer to a call too
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m := range seen {
			if len(m.Body) == 8 {
				d.notes <- note{m.Body[1].(uint32), m.Body[3].(string), m.Body[4].(string), m.Body[5].([]string)}
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		_ = spy.Close()
		<-ended
	})
	return d
}

// next is the next note.
func (d *daemon) next(t *testing.T) note {
	t.Helper()
	select {
	case n := <-d.notes:
		return n
	case <-time.After(limit):
		t.Fatal("no notification came")
		return note{}
	}
}

// click clicks the newest note: dunst tells its maker the default action.
func (d *daemon) click(t *testing.T) {
	t.Helper()
	if err := d.conn.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications").Call("org.dunstproject.cmd0.NotificationAction", 0, uint32(0)).Err; err != nil {
		t.Fatal(err)
	}
}
