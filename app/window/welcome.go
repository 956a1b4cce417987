package window

import (
	"fmt"
	"runtime"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
)

// welcome is the card of a home in which nothing was built: what this computer lacks with
// the button that installs it, and three ways to begin.
type welcome struct {
	w       *Window
	resized func()          // after the card's height has changed
	work    *fyne.Container // the checks, or the installation that runs
	line    *widget.Label   // the last line of its output
	bar     *widget.ProgressBarInfinite
	shown   string
	object  fyne.CanvasObject
}

func newWelcome(w *Window, s feed.State, resized func()) *welcome {
	v := &welcome{w: w, resized: func() {}, work: container.NewVBox(), line: text("", theme.SizeNameCaptionText, false)}
	head, second := text("Welcome to Ingot", theme.SizeNameHeadingText, true), text("VM images that were seen to boot. No account is needed.", theme.SizeNameCaptionText, false)
	second.Importance = widget.LowImportance
	head.Truncation, second.Truncation = fyne.TextTruncateOff, fyne.TextTruncateOff
	later := widget.NewButton("Look around first", func() {
		w.first = false
		w.update()
	})
	later.Importance = widget.LowImportance
	tiles := container.NewGridWithColumns(3)
	tile := func(title, hint string, do func()) {
		b := widget.NewButton(title, do)
		l := widget.NewLabel(clean(hint))
		l.Wrapping, l.SizeName, l.Importance = fyne.TextWrapWord, theme.SizeNameCaptionText, widget.LowImportance
		if len(tiles.Objects) == 0 {
			b.Importance = widget.HighImportance
		}
		tiles.Add(container.NewStack(newBlock(look.Raised, "", 8), container.NewPadded(container.NewVBox(b, l))))
	}
	if r, ok := firstTarget(s.Rows); ok {
		tile("Build a Linux image", titleOf(r)+", with a kernel of its own, booted once. You can close the window meanwhile.", func() { w.build(api.Submission{Target: r.Target}) })
	}
	vms := "No VM of Lima was found yet."
	if n := len(s.VMs); n > 0 {
		names := make([]string, 0, 3)
		for _, m := range s.VMs[:min(3, n)] {
			names = append(names, m.Name)
		}
		vms = fmt.Sprintf("%d of Lima: %s. The VM itself is only read.", n, strings.Join(names, ", "))
	}
	tile("Make an image of a VM", vms, func() { w.Go(Route{Page: pageVMs}) })
	tile("Check an image", "Choose or drop a qcow2 or raw file of anybody's: Ingot boots it.", func() { w.Go(Route{Page: pageCheck}) })
	first, then := text("1 · This computer", theme.SizeNameText, true), text("2 · What do you want to do first?", theme.SizeNameText, true)
	v.object = panel(look.Stroke, container.NewVBox(container.NewBorder(nil, nil, head, container.NewCenter(later), container.NewCenter(second)), first, v.work, then, tiles))
	w.mending.changed = v.draw
	v.draw()
	v.resized = resized
	return v
}

// leave ends the card; what is being installed goes on.
func (v *welcome) leave() {
	if v.bar != nil {
		v.bar.Stop()
		v.bar = nil
	}
	v.w.mending.changed = nil
}

// draw shows the installation that runs, or what is missing.
func (v *welcome) draw() {
	m := &v.w.mending
	v.line.SetText(clean(m.line()))
	key := fmt.Sprint(m.running, m.cancelled, m.ended, m.err, v.w.report)
	if key == v.shown {
		return // do not replace a button below the pointer
	}
	v.shown = key
	if v.bar != nil {
		v.bar.Stop()
		v.bar = nil
	}
	v.work.Objects = nil
	switch {
	case m.running:
		v.bar = widget.NewProgressBarInfinite()
		stop := widget.NewButton("Cancel", m.stop)
		if m.cancelled {
			stop.Disable()
		}
		v.work.Add(container.NewBorder(nil, nil, nil, stop, v.bar))
		v.work.Add(v.line)
	case len(v.w.report.Missing()) == 0:
		v.work.Add(stateRow(api.Passed, "All is there", "that building and booting needs"))
	default:
		for _, c := range v.w.report.Missing() {
			v.work.Add(stateRow(api.Failed, c.Name, c.Why))
		}
		bar := container.NewHBox()
		if v.w.report.CanMend() {
			install := widget.NewButtonWithIcon("Install what is missing", theme.DownloadIcon(), m.start)
			install.Importance = widget.HighImportance
			bar.Add(install)
		}
		bar.Add(widget.NewButton("See what is missing", func() { v.w.Go(Route{Page: pageSettings}) }))
		if m.err != nil {
			l := widget.NewLabel(clean("The installation failed: " + m.err.Error()))
			l.Wrapping, l.Importance = fyne.TextWrapWord, widget.DangerImportance
			v.work.Add(l)
		}
		v.work.Add(bar)
	}
	v.work.Refresh()
	v.resized()
}

// firstTarget is the target to begin with: the first of this computer's architecture whose
// recipe can be used.
func firstTarget(rows []api.Row) (api.Row, bool) {
	var other *api.Row
	for i, r := range rows {
		if app.GroupOf(r) == app.GroupFailed {
			continue
		}
		if strings.Contains(r.Target, runtime.GOARCH) {
			return r, true
		}
		if other == nil {
			other = &rows[i]
		}
	}
	if other == nil {
		return api.Row{}, false
	}
	return *other, true
}

// welcomes reports whether the first page welcomes: nothing was built in this home.
func (w *Window) welcomes(s feed.State) bool { return w.first && !built(s) }
