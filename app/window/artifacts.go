package window

import (
	"context"
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/api"
	"ingot/backend/status"
)

// artifacts shows the exported files as cards that can be dragged out.
type artifacts struct {
	w     *Window
	want  string
	cards *fyne.Container
	have  []status.ArtifactInfo
	drawn bool
	read  *reading[[]status.ArtifactInfo]
	all   fyne.CanvasObject
}

func newArtifacts(w *Window, r Route) view {
	v := &artifacts{w: w, want: r.arg(0), cards: container.NewVBox()}
	v.all = container.NewVScroll(v.cards)
	v.read = &reading[[]status.ArtifactInfo]{w: w, read: w.backend.Artifacts, show: func(have []status.ArtifactInfo, err error) {
		if err != nil {
			w.showStatus(err, "")
			return
		}
		v.draw(have)
	}}
	return v
}

func (v *artifacts) object() fyne.CanvasObject { return v.all }
func (v *artifacts) leave()                    { v.read.leave() }

// update reads the artifacts again; cached digests make that fast.
func (v *artifacts) update(feed.State) { v.read.start() }

func (v *artifacts) draw(have []status.ArtifactInfo) {
	if v.drawn && slices.Equal(v.have, have) {
		return // do not replace a card below the pointer
	}
	v.have, v.drawn = have, true
	v.cards.Objects = nil
	for _, a := range have {
		if v.want == "" || v.want == a.Target {
			v.cards.Add(newCard(v.w, a))
		}
	}
	if len(v.cards.Objects) == 0 {
		v.cards.Add(message("No image yet", "A build makes one: press Build on the page Home. The finished file is dragged out from here."))
	}
	v.cards.Refresh()
}

// card is one artifact. It can be dragged into a file manager.
type card struct {
	widget.BaseWidget
	w        *Window
	info     status.ArtifactInfo
	inside   fyne.CanvasObject
	moved    float32
	dragging bool
}

func newCard(w *Window, a status.ArtifactInfo) *card {
	c := &card{w: w, info: a}
	name := widget.NewLabel(clean(a.Name))
	name.TextStyle.Bold = true
	name.Truncation = fyne.TextTruncateEllipsis
	state, badge := a.Boots, "boots: "+a.Boots.String()
	if a.Problem != "" {
		state, badge = api.Failed, a.Problem
	}
	facts := size(a.Size) + " (" + size(a.Allocated) + " on disk) · SHA-256 " + short(a.SHA256) + " · " + formatTime(a.At)
	if a.URL != "" {
		facts += " · published"
		if a.Local {
			facts += " (local only)"
		}
	}
	detail := widget.NewLabel(clean(facts))
	detail.Truncation = fyne.TextTruncateEllipsis
	bar := container.NewHBox(
		widget.NewButtonWithIcon("Show in folder", theme.FolderOpenIcon(), func() { w.showStatus(w.desktop.Reveal(a.Path), "") }),
		widget.NewButton("Copy SHA-256", func() { w.copy(a.SHA256) }),
	)
	if a.Template != "" {
		bar.Add(widget.NewButton("Copy limactl line", func() { w.copy("limactl start " + a.Template) }))
	}
	if a.Proof != "" {
		bar.Add(widget.NewButton("Proof", func() { w.Go(Route{pageEvidence, []string{a.Proof}}) }))
	}
	bar.Add(widget.NewSelect(api.Formats, func(format string) { w.exportAs(a, format) }))
	bar.Objects[len(bar.Objects)-1].(*widget.Select).PlaceHolder = "Export as…"
	face := container.NewBorder(nil, nil, widget.NewIcon(theme.FileIcon()), container.NewHBox(widget.NewIcon(icon(state)), widget.NewLabel(clean(badge))), name)
	c.inside = widget.NewCard("", "", container.NewVBox(face, detail, bar))
	c.ExtendBaseWidget(c)
	return c
}

func (c *card) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(container.NewStack(canvas.NewRectangle(theme.Color(theme.ColorNameBackground)), c.inside))
}

// dragThreshold is how far the pointer moves before a press becomes a drag, in
// Fyne's units.
const dragThreshold = 6

// Dragged starts the desktop's drag while the pointer is still on the card.
func (c *card) Dragged(e *fyne.DragEvent) {
	c.moved += abs(e.Dragged.DX) + abs(e.Dragged.DY)
	if c.dragging || c.moved < dragThreshold {
		return
	}
	c.dragging = true
	ended := func(accepted bool, err error) {
		c.w.main(func() {
			c.dragging = false
			if accepted || err != nil {
				c.w.showStatus(err, c.info.Name+" was copied")
			}
		})
	}
	file, err := c.w.backend.HandOut(c.info)
	if err == nil {
		err = c.w.desktop.StartDrag(c.w.Window, file, ended)
	}
	if err != nil {
		ended(false, err)
	}
}

// DragEnd is called when the button is released.
func (c *card) DragEnd() { c.moved = 0 }

func abs(f float32) float32 { return max(f, -f) }

func (w *Window) copy(text string) {
	fyne.CurrentApp().Clipboard().SetContent(text)
	w.showStatus(nil, "copied: "+text)
}

// exportAs asks for a file and writes the disk in a format.
func (w *Window) exportAs(a status.ArtifactInfo, format string) {
	w.saveAs(a.Target+"."+format, func(dst string) {
		w.showStatus(nil, "writing "+dst)
		w.do(func(ctx context.Context) error {
			return w.backend.Export(ctx, a.Target, format, dst, func(int64, int64) {})
		}, func(err error) { w.showStatus(err, "wrote "+dst) })
	})
}

// saveAs asks for the file that an export writes.
func (w *Window) saveAs(name string, write func(dst string)) {
	d := dialog.NewFileSave(func(to fyne.URIWriteCloser, err error) {
		if err != nil || to == nil {
			return // no file was selected
		}
		_ = to.Close() // the export replaces the file when it is complete
		write(to.URI().Path())
	}, w.Window)
	d.SetFileName(name)
	d.Show()
}
