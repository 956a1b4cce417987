package window

import (
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
)

// press types a shortcut, Ctrl here, or a key.
func (s *stage) press(k fyne.KeyName, modified bool) {
	s.t.Helper()
	s.on(func() {
		c := s.Canvas()
		if !modified {
			c.OnTypedKey()(&fyne.KeyEvent{Name: k})
			return
		}
		c.(fyne.Shortcutable).TypedShortcut(&desktop.CustomShortcut{KeyName: k, Modifier: fyne.KeyModifierShortcutDefault})
	})
}

// Every page has a key, Escape goes home, and what is shown is built by a key.
func TestKeys(t *testing.T) {
	p, news := acted()
	atWork(p, &news)
	s := shown(t, p, "home", news, *p.progress)
	s.until("Needs you")
	for k, want := range map[fyne.KeyName]string{"2": "artifacts", "3": "vms", "4": "notary", "5": "builds", "6": "targets", "7": "settings", "1": "home"} {
		s.press(k, true)
		if got := s.route(); got != want {
			t.Errorf("%s shows %s, want %s", k, got, want)
		}
	}
	s.press("1", true)
	s.press(fyne.KeyF, true)
	s.on(func() {
		if s.Canvas().Focused() != s.view.(*home).find {
			t.Error("the search has not the focus")
		}
		s.Canvas().Unfocus()
		s.Go(Route{pageTarget, []string{"debian-12-arm64"}})
	})
	s.until("30 %")
	s.press(fyne.KeyB, true) // it is being built already
	s.on(func() { s.Go(Route{pageTarget, []string{"ubuntu-24.04-arm64"}}) })
	s.until("Not yet")
	s.press(fyne.KeyB, true)
	s.asked(p, "submit ubuntu-24.04-arm64 until= force=[]")
	for _, asked := range p.notes() {
		if asked == "submit debian-12-arm64 until= force=[]" {
			t.Error("what is being built was asked for again")
		}
	}
	s.press(fyne.KeyEscape, false)
	if got := s.route(); got != "home" {
		t.Errorf("Escape shows %s", got)
	}
}
