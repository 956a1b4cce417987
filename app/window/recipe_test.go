package window

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"
)

// A recipe of the user's own is checked while it is typed, and saved without mistakes
// only; a shipped one is read.
func TestRecipeEditor(t *testing.T) {
	p, news := recorded(t)
	s := shown(t, p, "targets/debian-12-arm64-lean", news)
	s.until("No mistakes. Nothing has changed")
	file := filepath.Join(os.Getenv("INGOT_HOME"), "config", "targets", "debian-12-arm64-lean.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(text string) {
		s.on(func() {
			s.walk(func(o fyne.CanvasObject) {
				if e, ok := o.(*widget.Entry); ok && e.MultiLine {
					e.SetText(text)
				}
			})
		})
	}
	edit(string(before) + "nonsense: 1\n")
	s.until("no such key here")
	if got := s.texts(); strings.Contains(got, "No mistakes") {
		t.Error("a text with a mistake has none")
	}
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			if b, ok := o.(*widget.Button); ok && b.Text == "Save" && !b.Disabled() {
				t.Error("a text with a mistake can be saved")
			}
		})
	})
	after := string(before) + "# mine\n"
	edit(after)
	s.until("Save it, then build")
	if now, _ := os.ReadFile(file); string(now) != string(before) {
		t.Error("a text was saved before Save")
	}
	s.tap("Save")
	s.until("Nothing has changed since it was saved")
	if now, err := os.ReadFile(file); err != nil || string(now) != after {
		t.Errorf("saved: %q, %v", now, err)
	}
	// what is not saved is kept while another page is shown, and closing asks
	draft := after + "# typed\n"
	edit(draft)
	s.on(func() { s.Go(Route{Page: pageHome}) })
	s.on(func() { s.Go(Route{pageTargets, []string{"debian-12-arm64-lean"}}) })
	s.until("# typed")
	s.on(s.close)
	s.until("changes that are not saved")
	s.tap("No")
	s.until("Save it, then build")
	s.tap("Build") // saves first: what is built is what is seen
	s.asked(p, "submit debian-12-arm64-lean until= force=[]")
	if now, err := os.ReadFile(file); err != nil || string(now) != draft {
		t.Errorf("built: %q, %v", now, err)
	}
	s.on(func() { s.Go(Route{pageTargets, []string{"debian-12-arm64-lean"}}) })
	s.until("Nothing has changed since it was saved")
	after = draft
	// another program writes meanwhile: nothing of it is lost
	edit(after + "# more\n")
	s.until("Save it, then build")
	write(t, file, string(before))
	s.tap("Save")
	s.until("another program has changed it")
	if now, err := os.ReadFile(file); err != nil || string(now) != string(before) {
		t.Errorf("the other program's text: %q, %v", now, err)
	}
	// a version of one's own is made, and edited in its place
	s.on(func() { s.Go(Route{pageTargets, []string{"debian-12-arm64"}}) })
	s.until("Fork and edit")
	s.tap("Fork and edit")
	s.asked(p, "fork debian-12-arm64 debian-12-arm64-mine")
	for end := time.Now().Add(30 * time.Second); s.route() != "target/debian-12-arm64-mine/recipe"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after it the window shows %s", s.route())
		}
	}
}
