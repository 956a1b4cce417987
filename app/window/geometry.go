package window

import (
	"encoding/json"
	"os"

	"fyne.io/fyne/v2"
)

// geometry is the size and the route of the window when it was closed. The next
// window of the home opens with them. A missing or damaged file is ignored.
type geometry struct {
	Route         string  `json:"route"`
	Width, Height float32 // in Fyne's units
}

// Limits for the sizes in the file, in Fyne's units: the smallest that the views
// allow, and the largest of any screen.
var (
	smallest = fyne.NewSize(900, 600)
	largest  = fyne.NewSize(8000, 8000)
)

// Restore applies the geometry in the file, and makes the window save its own
// there. It must be called on the main goroutine before the window is shown.
func (w *Window) Restore(file string) {
	w.geometryFile = file
	var p geometry
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

// saveGeometry writes the file.
func (w *Window) saveGeometry() {
	if w.geometryFile == "" {
		return
	}
	size := w.Canvas().Size()
	if b, err := json.Marshal(geometry{w.route.String(), size.Width, size.Height}); err == nil {
		_ = os.WriteFile(w.geometryFile, b, 0o600) // if this fails, the next window has the default geometry
	}
}
