package window

import (
	"encoding/json"
	"os"

	"fyne.io/fyne/v2"
)

// place is how a window was closed; the next one of the home opens like it. It
// is a convenience: one that is missing or broken counts as none.
type place struct {
	Route         string  `json:"route"`
	Width, Height float32 // in Fyne's units
}

// The sizes that a window takes from its file: as small as its views stand, and
// no larger than any screen.
var (
	smallest = fyne.NewSize(900, 600)
	largest  = fyne.NewSize(8000, 8000)
)

// Restore shows what the file says of the window that was closed last, and makes
// the window keep its own place there. It must be called on the main goroutine,
// before the window is shown.
func (w *Window) Restore(file string) {
	w.place = file
	var p place
	if b, err := os.ReadFile(file); err != nil || json.Unmarshal(b, &p) != nil {
		return
	}
	if p.Width >= smallest.Width && p.Height >= smallest.Height && p.Width <= largest.Width && p.Height <= largest.Height {
		w.Resize(fyne.NewSize(p.Width, p.Height))
	}
	if r, err := ParseRoute(p.Route); err == nil {
		w.Go(r)
	}
}

// keepPlace writes the file.
func (w *Window) keepPlace() {
	if w.place == "" {
		return
	}
	size := w.Canvas().Size()
	if b, err := json.Marshal(place{w.route.String(), size.Width, size.Height}); err == nil {
		_ = os.WriteFile(w.place, b, 0o600) // a place that cannot be kept is nobody's concern
	}
}
