package window

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"ingot/backend/api"
	"ingot/backend/cause"
	"ingot/backend/doctor"
	"ingot/backend/status"
	"ingot/backend/vm"
)

// The checklist has what each thing is for, and the exact commands; the button installs
// what is missing, shows what is being done, and at the end what is there.
func TestInstall(t *testing.T) {
	p, news := acted()
	var installed atomic.Bool
	p.report = func() doctor.Report {
		r := lackingReport()
		if installed.Load() {
			r.Checks[1].OK, r.Install = true, nil
		}
		return r
	}
	steps := make(chan string)
	p.mend = func(ctx context.Context, note func(string)) error {
		for line := range steps {
			note(line)
		}
		installed.Store(true)
		return nil
	}
	s := shown(t, p, "settings", news)
	for _, text := range []string{"boots what was built: the proof", "makes the root file system", "apt-get update\napt-get install -y --no-install-recommends mmdebstrap"} {
		s.until(text)
	}
	s.tap("Install what is missing")
	s.until("Installing what is missing…")
	steps <- "Unpacking mmdebstrap\x1b[31m"
	s.until("Unpacking mmdebstrap")
	if got := s.texts(); strings.Contains(got, "\x1b") || strings.Contains(got, "Install what is missing") {
		t.Errorf("while it runs:\n%s", got)
	}
	// another page is shown meanwhile; it goes on, and is there again
	s.on(func() { s.Go(Route{Page: pageReality}) })
	steps <- "Setting up mmdebstrap"
	s.on(func() { s.Go(Route{Page: pageSettings}) })
	s.until("Setting up mmdebstrap")
	close(steps)
	s.until("The installation has ended.")
	s.until("makes the root file system")
	if s.has("Install what is missing") {
		t.Error("nothing is missing any more")
	}
	s.on(func() { s.Go(Route{Page: pageTargets}); s.Go(Route{Page: pageSettings}) })
	s.until("makes the root file system")
	if strings.Contains(s.texts(), "has ended") {
		t.Error("the end is told for ever")
	}
}

// has reports whether there is a button of that label.
func (s *stage) has(label string) (found bool) {
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			b, ok := o.(*widget.Button)
			found = found || ok && b.Text == label
		})
	})
	return found
}

// Cancel ends what runs, and says so; so does closing the window.
func TestInstallCancelled(t *testing.T) {
	p, news := acted()
	ended := make(chan struct{})
	p.mend = func(ctx context.Context, note func(string)) error {
		note("apt-get update")
		<-ctx.Done()
		<-ended
		return context.Cause(ctx)
	}
	s := shown(t, p, "settings", news)
	s.until("Install what is missing")
	s.tap("Install what is missing")
	s.until("apt-get update")
	s.tap("Cancel")
	s.until("Cancelling: what runs is brought to an end…")
	close(ended)
	s.until("Cancelled: what was installed before stays.")
	s.until("makes the root file system") // it was examined again
	s.tap("Install what is missing")
	s.until("Installing what is missing…") // closed with it: the stage waits for its end
}

// What fails says why and what to do; elsewhere in the status line.
func TestInstallFails(t *testing.T) {
	p, news := acted()
	p.mend = func(context.Context, func(string)) error {
		return fmt.Errorf("here: %w", cause.With("host.no-homebrew", errors.New("neither is installed")))
	}
	s := shown(t, p, "settings", news)
	s.until("Install what is missing")
	s.tap("Install what is missing")
	for _, text := range []string{"The installation failed", "neither is installed", "What to do: install Homebrew"} {
		s.until(text)
	}
	failed := make(chan struct{})
	p.mend = func(context.Context, func(string)) error { <-failed; return errors.New("no network") }
	s.until("Install what is missing")
	s.tap("Install what is missing")
	s.on(func() { s.Go(Route{Page: pageTargets}) })
	close(failed)
	s.until("no network")
}

// Where sudo asks for a password, the command is offered for a terminal.
func TestInstallNeedsPassword(t *testing.T) {
	p, news := acted()
	needsPassword(p, &news)
	s := shown(t, p, "settings", news)
	s.until("Install what is missing")
	s.tap("Install what is missing")
	s.until("Your password is needed")
	s.until("'/opt/in got/ingot' doctor --install")
	s.tap("Open in Terminal")
	s.asked(p, "terminal sh -c "+stayOpen+" /opt/in got/ingot")
	s.tap("Look again")
	s.until("makes the root file system")
}

// In a home where nothing was built, the first page says how much is missing, and leads
// to the list; the computer is examined once.
func TestFirstRun(t *testing.T) {
	p, news := acted()
	empty(p, &news)
	var asked atomic.Int32
	p.report = func() doctor.Report {
		asked.Add(1)
		return doctor.Report{Checks: []doctor.Check{{Name: "a"}, {Name: "b"}, {Name: "c", OK: true}}}
	}
	s := shown(t, p, "reality", news)
	s.until("This computer lacks 2 things that building and booting needs.")
	for range 3 {
		s.on(func() { s.Go(Route{Page: pageTargets}); s.Go(Route{Page: pageReality}) })
		s.until("This computer lacks 2 things")
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("it was examined %d times", n)
	}
	s.tap("See what is missing")
	s.until("Look again")
	if s.Route().Page != pageSettings {
		t.Errorf("the window is at %s", s.Route())
	}
	// once nothing is missing it says nothing
	p.report = func() doctor.Report {
		return doctor.Report{Checks: []doctor.Check{{Name: "all of it", OK: true}}}
	}
	s.tap("Look again")
	s.until("all of it")
	s.on(func() { s.Go(Route{Page: pageReality}) })
	s.until("No image has been booted here yet")
	if got := s.texts(); strings.Contains(got, "This computer lacks") {
		t.Errorf("it says:\n%s", got)
	}
}

// A new home is welcomed: what is missing is installed from there, and three ways begin.
func TestWelcome(t *testing.T) {
	p, news := acted()
	empty(p, &news)
	vmsHere(p, &news)
	lacking := atomic.Bool{}
	lacking.Store(true)
	p.report = func() doctor.Report {
		if lacking.Load() {
			return lackingReport()
		}
		return doctor.Report{Checks: []doctor.Check{{Name: "a", OK: true}}}
	}
	steps := make(chan string)
	p.mend = func(_ context.Context, note func(string)) error {
		for line := range steps {
			note(line)
		}
		lacking.Store(false)
		return nil
	}
	s := shown(t, p, "home", news)
	s.until("Welcome to Ingot")
	s.until("makes the root file system")
	s.until("forge, slow, old")
	s.tap("Install what is missing")
	steps <- "Unpacking mmdebstrap"
	s.until("Unpacking mmdebstrap")
	s.on(func() { s.Go(Route{Page: pageArtifacts}); s.Go(Route{Page: pageHome}) })
	steps <- "Setting up mmdebstrap" // it went on
	s.until("Setting up mmdebstrap")
	close(steps)
	s.until("that building and booting needs")
	for label, want := range map[string]string{"Make an image of a VM": "vms", "Check an image": "notary"} {
		s.on(func() { s.Go(Route{Page: pageHome}) })
		s.until("Welcome to Ingot")
		s.tap(label)
		if got := s.route(); got != want {
			t.Errorf("%s leads to %s", label, got)
		}
	}
	s.on(func() { s.Go(Route{Page: pageHome}) })
	s.tap("Build a Linux image")
	s.asked(p, "submit debian-12-arm64 until= force=[]")
	s.on(func() { s.Go(Route{Page: pageHome}) })
	s.until("Welcome to Ingot")
	s.tap("Look around first")
	if strings.Contains(s.texts(), "Welcome") {
		t.Error("the card stays")
	}
}

// Nothing is said where a build was begun, or nothing is missing.
func TestNoFirstRun(t *testing.T) {
	for name, prepare := range map[string]func(*played, *api.Snapshot){
		"nothing is missing": func(p *played, _ *api.Snapshot) {
			p.report = func() doctor.Report { return doctor.Report{Checks: []doctor.Check{{OK: true}}} }
		},
		"a build was begun": func(p *played, _ *api.Snapshot) { p.builds = []status.BuildInfo{{}} },
		"one runs": func(_ *played, s *api.Snapshot) {
			s.Owner.Builds = []api.ActiveBuild{{ID: buildID, Target: "debian-12-arm64"}}
		},
		"a row has a state": func(p *played, s *api.Snapshot) {
			p.rows[0].Kernel = cell(api.Failed, "kernel.hang")
			s.Rows = p.rows
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, news := acted()
			empty(p, &news)
			prepare(p, &news)
			s := shown(t, p, "reality", news)
			s.until("debian-12-arm64")
			s.settled()
			if got := s.texts(); strings.Contains(got, "This computer lacks") {
				t.Errorf("it says:\n%s", got)
			}
		})
	}
}

// The link is offered, made, and then shown as made; what stands in its way is named.
func TestLinkOfSettings(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "app", "ingot")
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, program, "")
	at := filepath.Join(dir, "bin")
	p, news := acted()
	p.linked = func() doctor.Link { return doctor.FindLink(program, []string{at}, nil) }
	s := shown(t, p, "settings", news)
	s.until("ingot in a terminal")
	s.tap("Link ingot into " + at)
	s.until("leads to the program of this app; its folder is not in the PATH that Ingot sees")
	if to, err := os.Readlink(filepath.Join(at, "ingot")); err != nil || to != program {
		t.Errorf("%q, %v", to, err)
	}
	if s.has("Link ingot into " + at) {
		t.Error("it is offered again")
	}
	if err := os.Remove(filepath.Join(at, "ingot")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(at, "ingot"), "another program")
	s.on(func() { s.Go(Route{Page: pageSettings}) })
	s.until("is there already and is no link")
}

// The default guest is shown; another one that is chosen is written, and the computer is
// examined again, since what is missing depends on it.
func TestGuestOfSettings(t *testing.T) {
	p, news := acted()
	chosen(p, &news)
	s := shown(t, p, "settings", news)
	s.until("config.yaml says so: guest: lima:ingot-forge")
	choose := func(title string) {
		s.settled()
		s.on(func() {
			s.walk(func(o fyne.CanvasObject) {
				if r, ok := o.(*widget.RadioGroup); ok {
					if r.Selected != p.guests.Choices[1].Title {
						t.Errorf("selected: %q", r.Selected)
					}
					r.SetSelected(title)
				}
			})
		})
	}
	choose("Lima VM debian, which is running")
	s.asked(p, "guest lima:debian")
	s.until("builds run in lima:debian from now on")
	// what is refused is said, and the choice goes back
	p.mu.Lock()
	p.fail = errors.New("config.yaml: line 3: it cannot be parsed")
	p.mu.Unlock()
	choose("This computer")
	s.until("line 3: it cannot be parsed")
	choose("This computer")
}

// A default that no build can use is shown with the reason.
func TestGuestProblem(t *testing.T) {
	p, news := acted()
	p.guests = vm.Guests{Set: "nowhere", Problem: `there is no guest "nowhere"`, Choices: []vm.GuestChoice{{Name: "nowhere", Title: "nowhere", Default: true}}}
	s := shown(t, p, "settings", news)
	s.until("Builds cannot run there")
	s.until(`there is no guest "nowhere"`)
}
