//go:build e2e

package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// trayPanel is Xfce's panel over the screen's upper edge with nothing in it but
// the tray.
const trayPanel = `<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="30"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty"><property name="plugin-1" type="string" value="systray"/></property>
</channel>
`

// xfconfd keeps Xfce's settings; Debian's multiarch folder is part of its place.
func xfconfd(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/xfce4/xfconf/xfconfd")
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no xfconfd: %v", err)
	}
	return found[0]
}

// startPanel starts Xfce's panel, the host that people have, and waits until it
// takes icons.
func startPanel(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(trayPanel), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "XDG_CONFIG_HOME="+dir, "HOME="+dir, "NO_AT_BRIDGE=1")
	start(t, env, xfconfd(t))
	named(t, "org.xfce.Xfconf")
	start(t, env, "xfce4-panel", "--disable-wm-check")
	named(t, "org.kde.StatusNotifierWatcher")
}

// registered waits for the icon that the panel has taken, and gives a way to its
// menu beside the panel's.
func registered(t *testing.T) (*host, icon) {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var items []string
	until(t, "an icon in the panel", func() bool {
		v, err := conn.Object("org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher").GetProperty("org.kde.StatusNotifierWatcher.RegisteredStatusNotifierItems")
		return err == nil && v.Store(&items) == nil && len(items) == 1
	})
	i := strings.IndexByte(items[0], '/')
	return &host{conn: conn}, icon{sender: items[0][:i], path: dbus.ObjectPath(items[0][i:])}
}

// lit tells whether the screen is not black at a point.
func lit(t *testing.T, x *xgb.Conn, px, py int16) bool {
	return at(t, x, px, py) != [3]byte{}
}

// at is the screen's blue, green and red at a point.
func at(t *testing.T, x *xgb.Conn, px, py int16) [3]byte {
	t.Helper()
	return [3]byte(pixels(t, x, px, py, 1, 1))
}

// pixels is a part of the screen: blue, green, red and a fourth byte of each.
func pixels(t *testing.T, x *xgb.Conn, px, py int16, width, height uint16) []byte {
	t.Helper()
	img, err := xproto.GetImage(x, xproto.ImageFormatZPixmap, xproto.Drawable(xproto.Setup(x).DefaultScreen(x).Root), px, py, width, height, ^uint32(0)).Reply()
	if err != nil {
		t.Fatal(err)
	}
	return img.Data
}

// A person's way in a panel that others made: a click on the icon opens the menu,
// the arrow keys reach the target in the menu Build, and "Open Ingot" opens the
// window.
func TestPanel(t *testing.T) {
	h := newHome(t)
	h.write(t, "config/targets/nowhere.yaml", nowhere)
	x, err := xgb.NewConn()
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	startPanel(t)
	start(t, h.env(), filepath.Join(h.bin, "ingot-app"))
	tray, mark := registered(t)
	tray.await(t, mark, "Build", "nowhere · not built")                    // the menu that opens is the whole one
	until(t, "the icon", func() bool { return at(t, x, 12, 20)[0] < 100 }) // orange, where the panel is grey
	builds := func() int {
		found, err := filepath.Glob(filepath.Join(h.dir, "data", "builds", "nowhere", "*-*-*")) // not the list
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if builds() != 0 {
		t.Fatal("a build before the click")
	}
	menu := func() bool { return lit(t, x, 20, 240) } // below what the icon's tooltip covers
	// below three that are shipped
	choose(t, "the build", menu, func() bool { return builds() == 1 }, "Down", "Right", "Down", "Down", "Down", "Return")
	until(t, "its end", func() bool {
		cmd := exec.Command(filepath.Join(bin, "ingot"), "status", "nowhere")
		cmd.Env = h.env()
		out, _ := cmd.CombinedOutput() // 5 says that something is not proven
		return strings.Contains(string(out), "guest.tool-missing")
	})
	// above Settings, Start at Login, Quit
	choose(t, "the window's process", menu, func() bool { _, err := os.Stat(filepath.Join(h.dir, "data", "window.log")); return err == nil }, "Up", "Up", "Up", "Up", "Return")
	w, ok := awaitWindow(t, h)
	if !ok {
		t.Skip("this ingot-app was built without its window")
	}
	w.drawn(t, "from-panel")
}

// choose opens the icon's menu by a click and goes through it by the keys until
// something has come of it. A second click closes a menu that came late, and GTK
// forgets where one was in a menu whose items change at that moment: then a
// person closes it and begins again, and so does this.
func choose(t *testing.T, what string, menu, came func() bool, keys ...string) {
	t.Helper()
	until(t, what, func() bool {
		if !comes(patience, func() bool { xdo(t, "key", "Escape"); return !menu() }) {
			return false
		}
		xdo(t, "mousemove", "12", "14", "click", "3")
		if !comes(patience, menu) {
			return false
		}
		picture(t, "menu")
		xdo(t, append([]string{"sleep", "0.3", "key", "--delay", "100"}, keys...)...)
		return comes(patience, came)
	})
}

// picture keeps a picture of the screen where INGOT_E2E_SHOTS says.
func picture(t *testing.T, name string) {
	t.Helper()
	if dir := os.Getenv("INGOT_E2E_SHOTS"); dir != "" {
		run(t, "import", "-window", "root", filepath.Join(dir, name+".png"))
	}
}
