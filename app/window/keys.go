package window

import (
	"strconv"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"ingot/backend/api"
)

// finder is a view with a field for a search.
type finder interface{ focusFind() *widget.Entry }

// builder is a view that shows a target that can be built.
type builder interface{ target() string }

// addKeys makes the window's shortcuts: Cmd on a Mac, Ctrl elsewhere, with 1 to 7 for the
// pages, B to build what is shown, F to find, W to close. Escape goes back to Home.
func (w *Window) addKeys() {
	key := func(k fyne.KeyName, do func()) {
		w.Canvas().AddShortcut(&desktop.CustomShortcut{KeyName: k, Modifier: fyne.KeyModifierShortcutDefault}, func(fyne.Shortcut) {
			if w.Canvas().Overlays().Top() == nil { // a dialog is answered first
				do()
			}
		})
	}
	for i, p := range pages {
		key(fyne.KeyName(strconv.Itoa(i+1)), func() { w.Go(Route{Page: p.name}) })
	}
	key(fyne.KeyF, func() {
		if v, ok := w.view.(finder); ok {
			if e := v.focusFind(); e != nil {
				w.Canvas().Focus(e)
			}
		}
	})
	key(fyne.KeyB, func() {
		v, ok := w.view.(builder)
		if !ok || v.target() == "" {
			return
		}
		if _, live := w.feed.State().Build(v.target()); !live {
			w.build(api.Submission{Target: v.target()})
		}
	})
	key(fyne.KeyW, w.close)
	w.Canvas().SetOnTypedKey(func(e *fyne.KeyEvent) {
		if e.Name == fyne.KeyEscape && w.Canvas().Overlays().Top() == nil && w.route.Page != pageHome {
			w.Go(Route{Page: pageHome})
		}
	})
}

func (v *home) focusFind() *widget.Entry {
	if v.find.Hidden {
		return nil
	}
	return v.find
}

func (v *targetPage) focusFind() *widget.Entry {
	if v.one.log == nil {
		return nil
	}
	return v.one.log.find
}

func (v *builds) focusFind() *widget.Entry {
	if v.one == nil || v.one.log == nil {
		return nil
	}
	return v.one.log.find
}

func (v *targetPage) target() string { return v.name }

func (v *targets) target() string { return v.shown }
