package window

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/storage"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/backend/api"
	"ingot/backend/client"
	"ingot/backend/status"
)

const buildID = "20260102-000000-abcd"

func cell(s api.State, cause string) api.Cell {
	return api.Cell{State: s, Cause: cause, At: time.Unix(1.8e9, 0)}
}

// acted is a home with one target in each state.
func acted() (*played, api.Snapshot) {
	booted := cell(api.Passed, "")
	booted.Evidence = "proof-1"
	rows := []api.Row{
		{Target: "good", Title: "Good", Exported: cell(api.Passed, ""), Boots: booted},
		{Target: "bad", Title: "Bad", Exported: cell(api.Passed, ""), Boots: cell(api.Failed, "kernel.hang")},
	}
	p := &played{news: make(chan func(client.Watcher)), ledger: &ledger{rows: rows, arts: []status.ArtifactInfo{{Target: "good", Name: "good.qcow2", Path: "/x/good.qcow2", SHA256: strings.Repeat("a", 64), Boots: api.Passed, Proof: "proof-1", Template: "http://x/lima.yaml"}}}}
	return p, api.Snapshot{Rows: rows}
}

// Every action reaches the backend or the desktop.
func TestActions(t *testing.T) {
	for name, c := range map[string]struct{ route, press, asked string }{
		"build":        {"reality/good", "Build", "submit good until= force=[]"},
		"boot test":    {"reality/bad", "Boot test", "submit bad until=prove force=[prove]"},
		"publish":      {"reality/good", "Publish", "submit good until= force=[publish]"},
		"build again":  {"builds/good", "Build again", "submit good until= force=[]"},
		"cancel":       {"builds/good", "Cancel", "cancel " + buildID},
		"validate":     {"targets/good", "Validate", "validate good"},
		"fork":         {"targets/good", "Fork and edit", "fork good good-mine"},
		"build target": {"targets/good", "Build", "submit good until= force=[]"},
		"folder":       {"artifacts", "Show in folder", "reveal good.qcow2"},
		"vm start":     {"vms/old", "Start", "start old"},
		"vm stop":      {"vms/forge", "Stop", "stop forge"},
		"vm shell":     {"vms/forge", "Open shell", "terminal limactl shell forge"},
		"probe":        {"settings", "Test", "probe"},
		"config":       {"settings", "Open config.yaml", "open config.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			p, news := acted()
			vmsHere(p, &news)
			news.Owner.Builds = []api.ActiveBuild{{ID: buildID, Target: "good", Started: time.Unix(1, 0), Step: "kernel"}}
			s := shown(t, p, c.route, news)
			s.until("targets")
			if c.route == "artifacts" {
				s.until("good.qcow2")
			}
			if strings.HasPrefix(c.route, "vms/") { // they come apart from the rows
				s.until("of Lima")
			}
			s.tap(c.press)
			s.asked(p, c.asked)
		})
	}
}

// The sheet of an image says what it does and needs, and asks the backend; without a yes
// nothing happens. A VM whose disk cannot be copied is said in the status line.
func TestImageSheet(t *testing.T) {
	p, news := acted()
	vmsHere(p, &news)
	s := shown(t, p, "vms/old", news)
	s.until("Make image…")
	s.tap("Make image…")
	s.until("old itself is only read.")
	s.until("This needs up to 5.0 GiB; 78.0 GiB are free.")
	s.tap("Cancel")
	s.tap("Make image…")
	s.until("old itself is only read.")
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			if c, ok := o.(*widget.Check); ok {
				switch c.Text {
				case "Publish it once it has booted", "packages that were fetched and are installed (410.0 MiB)":
					c.SetChecked(true)
				case "logs":
					c.SetChecked(false)
				}
			}
			if r, ok := o.(*widget.RadioGroup); ok && slices.Contains(r.Options, "raw") {
				r.SetSelected("raw")
			}
		})
	})
	s.tap("Make image")
	s.asked(p, "image old old raw keep=[logs] also=[package-cache] publish=true")
	if n := slices.IndexFunc(p.notes(), func(asked string) bool {
		return strings.HasPrefix(asked, "image ") && asked != "image old old raw keep=[logs] also=[package-cache] publish=true"
	}); n >= 0 {
		t.Errorf("what was cancelled was asked for: %q", p.notes())
	}
}

// What goes wrong with a VM stays on its card, with a way to its logs, until it is
// dismissed; while something is done, its card has no other button.
func TestVMTrouble(t *testing.T) {
	p, news := acted()
	vmsHere(p, &news)
	p.vms[2].Dir = t.TempDir()
	p.fail = errors.New("limactl start old: the disk is gone")
	s := shown(t, p, "vms/old", news)
	s.until("Stopped")
	s.tap("Start")
	s.until("the disk is gone")
	s.tap("Show logs")
	s.asked(p, "reveal ha.stderr.log")
	s.tap("Dismiss")
	if strings.Contains(strings.ReplaceAll(s.texts(), s.status.Text, ""), "the disk is gone") {
		t.Error("what was dismissed is still there")
	}
}

// The route of the menu's item shows the sheet, once.
func TestImageRoute(t *testing.T) {
	p, news := acted()
	vmsHere(p, &news)
	s := shown(t, p, app.RouteImageOf("old"), news)
	s.until("old itself is only read.")
	s.tap("Cancel")
	s.until("Make image…")
	if asked := p.notes(); slices.ContainsFunc(asked, func(a string) bool { return strings.HasPrefix(a, "image ") }) {
		t.Errorf("%q", asked)
	}
}

// What goes wrong is said in the status line, with the next step.
func TestActionFails(t *testing.T) {
	p, news := acted()
	s := shown(t, p, "reality/good", news)
	s.until("good")
	p.mu.Lock()
	p.fail = &api.RemoteError{Msg: "the disk is full", Cause: "guest.no-space", Fix: "make room"}
	p.mu.Unlock()
	s.tap("Build")
	s.until("the disk is full – make room")
}

// The destination and its credentials go to the backend, and the secret key stays in no
// field.
func TestDestination(t *testing.T) {
	p, news := acted()
	p.settings = Settings{Destination: Destination{Endpoint: "https://s3.example.org", Bucket: "images"}, Keys: "the keychain"}
	s := shown(t, p, "settings", news)
	s.until("https://s3.example.org")
	fields := func() (list []*widget.Entry) {
		s.walk(func(o fyne.CanvasObject) {
			if e, ok := o.(*widget.Entry); ok {
				list = append(list, e)
			}
		})
		return list
	}
	s.on(func() {
		all := fields()
		if all[0].Text != "https://s3.example.org" || all[1].Text != "images" {
			t.Errorf("the form shows %q, %q", all[0].Text, all[1].Text)
		}
		for i, text := range []string{"https://s3.eu.example.org", "other", "/team/", "https://images.example.org", "access", "secret"} {
			all[i].SetText(text)
		}
	})
	s.tap("Save")
	s.asked(p, "destination https://s3.eu.example.org other team https://images.example.org")
	s.asked(p, "credentials https://s3.eu.example.org access 6")
	s.on(func() {
		for _, e := range fields() {
			if e.Text == "secret" {
				t.Error("the secret key is still in its field")
			}
		}
	})
}

// A card that is dragged hands the artifact to the desktop, once a drag.
func TestDragOut(t *testing.T) {
	p, news := acted()
	s := shown(t, p, "artifacts", news)
	s.until("good.qcow2")
	var c *card
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			if found, ok := o.(*card); ok {
				c = found
			}
		})
		if c == nil {
			t.Fatal("there is no card")
		}
		c.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(2, 1)})
	})
	if len(p.notes()) > 0 {
		t.Errorf("a press that hardly moved: %q", p.notes())
	}
	s.on(func() {
		for range 5 {
			c.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(-4, 0)})
		}
		c.DragEnd()
	})
	s.asked(p, "drag good.qcow2")
	s.until("good.qcow2 was copied")
	if got := strings.Join(p.notes(), "; "); got != "hand out good.qcow2; drag good.qcow2" {
		t.Error(got)
	}
}

// An image that is dropped is booted, a log explained.
func TestDropIn(t *testing.T) {
	dir := t.TempDir()
	image, log := dir+"/some.qcow2", dir+"/serial.log"
	write(t, image, "QFI\xfb\x00\x00\x00\x03"+strings.Repeat("\x00", 100))
	panicked, err := os.ReadFile("../../backend/cause/testdata/panic-no-root.serial.log")
	if err != nil {
		t.Fatal(err)
	}
	write(t, log, string(panicked))
	p, news := acted()
	s := shown(t, p, "reality", news)
	s.on(func() {
		s.dropped([]fyne.URI{storage.NewFileURI(image), storage.NewFileURI(log), storage.NewFileURI(dir + "/none"), storage.NewFileURI(t.TempDir())})
	})
	s.asked(p, "prove some.qcow2")
	s.until("it boots")
	s.until("Cause found")
	s.until("no such file")
	s.until("there is no log in it")
	if s.Route().Page != pageCheck {
		t.Errorf("the window is at %s", s.Route())
	}
	p.mu.Lock()
	p.fail = errors.New("no boot loader")
	p.mu.Unlock()
	s.on(func() { s.dropped([]fyne.URI{storage.NewFileURI(image)}) })
	s.until("no boot loader")
}

// A check goes on when its page is left, can be stopped, and its row stays.
func TestCheckIsAJob(t *testing.T) {
	image := t.TempDir() + "/slow.qcow2"
	write(t, image, "QFI\xfb\x00\x00\x00\x03"+strings.Repeat("\x00", 100))
	p, news := acted()
	s := shown(t, p, "notary", news)
	s.on(func() { s.Check(image) })
	s.until("seeded boot: kernel at 9 s")
	s.on(func() { s.Go(Route{Page: pageHome}) })
	s.until("Needs you")
	s.on(func() { s.Go(Route{Page: pageCheck}) })
	s.until("seeded boot: kernel at 9 s")
	s.tap("Stop")
	s.until("Stopped")
	s.on(func() { s.checkAddress("https://example.org/x/", "ingot.pub") })
	s.asked(p, "verify https://example.org/x/ ingot.pub")
	s.until("it boots")
	s.on(func() { s.explainText("a pasted log", " \n") })
	s.until("the clipboard has no text")
	s.on(func() { s.explainText("a pasted log", "all is well\n") })
	s.until("no known cause was found")
	s.on(func() { s.Go(Route{Page: pageHome}); s.Go(Route{Page: pageCheck}) })
	s.until("slow.qcow2")
}

// What a file is taken for; a pipe is not read, which would never end.
func TestKindOf(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		want kind
	}{"a.qcow2": {"QFI\xfb", anImage}, "a.raw": {"\x00\x01", anImage}, "serial.log": {"Linux version", aLog}, "a.pkr.hcl": {"source \"qemu\" \"x\" {}", aTemplate}, "disk.img.gz": {"\x1f\x8b", anImage},
		"serial.log.gz": {"\x1f\x8b", aLog}, "ingot-support.zip": {"PK\x03\x04", aLog}, "debian.utm.zip": {"PK\x03\x04", anImage}} {
		write(t, dir+"/"+name, c.text)
		if got, err := kindOf(dir + "/" + name); err != nil || got != c.want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	if got, err := kindOf(dir); err != nil || got != aTemplate { // it has one
		t.Errorf("the folder: %v, %v", got, err)
	}
	if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kindOf(dir + "/pipe"); err == nil || !strings.Contains(err.Error(), "neither a file nor a folder") {
		t.Errorf("a pipe: %v", err)
	}
}

// A form of a destination that cannot be meant is refused with the reason, and a release
// is named as verify takes it.
func TestDestinationProblem(t *testing.T) {
	s3 := Destination{Endpoint: "https://s3.example.org", Bucket: "b"}
	for name, c := range map[string]struct {
		d           Destination
		access, key string
		want        string
	}{
		"good": {s3, "a", "k", ""}, "kept keys": {s3, "", "", ""}, "local store": {Destination{}, "", "", ""},
		"placeholder": {Destination{Endpoint: "https://s3.REGION.amazonaws.com", Bucket: "b"}, "", "", "REGION"},
		"half a pair": {s3, "", "k", "belong together"}, "other half": {s3, "a", "", "belong together"}, "keys for nothing": {Destination{}, "a", "k", "needs no keys"},
	} {
		if got := destinationProblem(c.d, c.access, c.key); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for file, want := range map[string]string{"https://github.com/me/images/releases/download/debian-1/x.qcow2": "github:me/images@debian-1", "https://s3.example.org/images/debian/12/x.qcow2": "https://s3.example.org/images/debian/12/"} {
		if got := releaseOf(file); got != want {
			t.Errorf("%s is of %s, want %s", file, got, want)
		}
	}
}

// Two presses ask for one build.
func TestPressedTwice(t *testing.T) {
	p, news := acted()
	s := shown(t, p, "home", news)
	s.on(func() {
		s.build(api.Submission{Target: "good"})
		s.build(api.Submission{Target: "good"})
	})
	s.asked(p, "submit good until= force=[]")
	s.on(func() {}) // what was queued has run
	if n := len(p.notes()); n != 1 {
		t.Errorf("%q", p.notes())
	}
}

// A template of Packer that is dropped is diagnosed, its fixes are shown as a diff, and
// written after a yes; the fixed one has no findings.
func TestDropTemplate(t *testing.T) {
	text, err := os.ReadFile("../../backend/packer/testdata/cases/netbsd-bare.pkr.hcl")
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/netbsd.pkr.hcl"
	write(t, file, string(text))
	p, news := acted()
	s := shown(t, p, "notary", news)
	s.on(func() { s.dropped([]fyne.URI{storage.NewFileURI(file)}) })
	s.until("qemu.machine-unsupported")
	s.until("Would not start")
	s.tap("Show the fixes…")
	s.until(`+  machine_type     = "virt"`)
	s.tap("Cancel")
	if now, err := os.ReadFile(file); err != nil || string(now) != string(text) {
		t.Errorf("after Cancel: %s, %v", now, err)
	}
	s.tap("Show the fixes…")
	s.until("Write them")
	s.tap("Write them")
	s.until("No findings")
	if now, err := os.ReadFile(file); err != nil || !strings.Contains(string(now), `"virt"`) {
		t.Errorf("%s, %v", now, err)
	}
}

// An owner that goes away and comes back is told; the rows stay.
func TestOwnerGone(t *testing.T) {
	p, news := acted()
	s := shown(t, p, "reality", news)
	s.until("0 building · 1 ready · 1 failed · 2 targets")
	p.play(func(w client.Watcher) { w.Gone(errors.New("version 2, not 1\x1b[31m")) })
	s.until("No connection: version 2, not 1")
	if !strings.Contains(s.texts(), "good") {
		t.Error("the rows are gone")
	}
	p.play(func(w client.Watcher) { w.Snapshot(news) })
	s.until("0 building · 1 ready · 1 failed · 2 targets")
}

func TestRoutes(t *testing.T) {
	for in, want := range map[string]string{"": "home", "reality/a": "reality/a", "builds/a/b": "builds/a/b", "/evidence/proof-1/": "evidence/proof-1"} {
		if r, err := ParseRoute(in); err != nil || r.String() != want {
			t.Errorf("%q: %v, %v", in, r, err)
		}
	}
	for _, in := range []string{"nothing", "builds//x", "builds/a/b/c"} {
		if r, err := ParseRoute(in); err == nil || !strings.Contains(err.Error(), "accepted are artifacts, builds") {
			t.Errorf("%q: %v, %v", in, r, err)
		}
	}
}

// The box for notifications shows what was chosen, and keeps another choice.
func TestNotificationsOff(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		t.Run(fmt.Sprintf("quiet=%v", quiet), func(t *testing.T) {
			p, news := acted()
			p.prefs.Quiet = quiet
			s := shown(t, p, "settings", news)
			s.until("Notifications")
			s.on(func() {
				s.walk(func(o fyne.CanvasObject) {
					if c, ok := o.(*widget.Check); ok && strings.HasPrefix(c.Text, "Show a notification") {
						if c.Checked == quiet {
							t.Errorf("checked %v", c.Checked)
						}
						c.SetChecked(quiet)
					}
				})
			})
			s.asked(p, fmt.Sprintf("preferences quiet=%v", !quiet))
		})
	}
}

// The team's workers are listed, with those whose evidence is not accepted; without
// a team it says how there can be one.
func TestTeamOfSettings(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		p, news := acted()
		shown(t, p, "settings", news).until("set team.nats in config.yaml")
	})
	p, news := acted()
	p.settings = Settings{Team: "tls://nats.example.org"}
	p.workers = []Worker{{api.WorkerInfo{Host: "forge", Builds: []string{"arm64"}, Slots: 2, Running: []string{"b"}, Seen: time.Now()}, true}, {WorkerInfo: api.WorkerInfo{Host: "stranger"}}}
	s := shown(t, p, "settings", news)
	for _, text := range []string{"tls://nats.example.org", "forge", "builds arm64; 1 of 2 builds", "stranger", "its evidence is not accepted"} {
		s.until(text)
	}
}
