package window

import (
	"os"
	"path/filepath"
	"testing"

	"fyne.io/fyne/v2"
)

// A window opens where the last one of the home was closed.
func TestGeometry(t *testing.T) {
	file := filepath.Join(t.TempDir(), "window.json")
	p, news := acted()
	t.Run("first", func(t *testing.T) {
		first := shown(t, p, "reality", news)
		first.on(func() {
			first.Restore(file) // there is none yet
			first.Resize(fyne.NewSize(1000, 640))
			first.Go(Route{Page: pageTargets})
			first.End()
			first.Go(Route{Page: pageSettings}) // what comes after the end is not kept
			first.End()
		})
	})
	t.Run("second", func(t *testing.T) {
		second := shown(t, p, "reality", news)
		second.on(func() {
			second.Restore(file)
			if got := second.Canvas().Size(); second.Route().String() != pageTargets || got != fyne.NewSize(1000, 640) {
				t.Errorf("it opens at %s, %v", second.Route(), got)
			}
		})
	})
}

// A file that is no place, or one that no screen has, changes nothing.
func TestNoGeometry(t *testing.T) {
	file := filepath.Join(t.TempDir(), "window.json")
	p, news := acted()
	s := shown(t, p, "artifacts", news)
	for _, text := range []string{"", "{", `{"route":"nonsense/x"}`, `{"route":"builds/../a/b/c","Width":10,"Height":1e9}`, `[1]`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.on(func() {
			before := s.Canvas().Size()
			s.Restore(file)
			if s.Route().Page != pageArtifacts || s.Canvas().Size() != before {
				t.Errorf("%s: %s, %v", text, s.Route(), s.Canvas().Size())
			}
		})
	}
}
