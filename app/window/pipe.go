package window

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
)

// station is a place in a pipeline: a step of a build, or a cell of a target.
type station struct {
	name, detail string
	state        api.State
}

// stationsOf are the steps of a build.
func stationsOf(steps []step, now feed.Build) []station {
	var out []station
	for _, s := range steps {
		out = append(out, station{s.name, detail(s, now), s.state})
	}
	return out
}

// pipeline shows stations side by side: a mark, the name, and how long it took or how far
// it is.
func pipeline(steps []station) fyne.CanvasObject {
	if len(steps) == 0 {
		return container.NewVBox()
	}
	var lines, marks, names, times []fyne.CanvasObject
	for i, s := range steps {
		if i > 0 {
			colour := look.Stroke
			if steps[i-1].state == api.Passed && s.state != api.Unknown {
				colour = look.Passed
			}
			lines = append(lines, newBlock(colour, "", 1))
		}
		_, back := look.StateColours(s.state)
		marks = append(marks, container.NewStack(newBlock(back, "", pipeMark/2), container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(16), widget.NewIcon(look.ShapeOnBack(s.state))))))
		name, time := text(s.name, theme.SizeNameText, true), text(s.detail, theme.SizeNameCaptionText, false)
		time.Importance = widget.LowImportance
		name.Alignment, time.Alignment = fyne.TextAlignCenter, fyne.TextAlignCenter
		names, times = append(names, name), append(times, time)
	}
	return container.New(pipeLayout(len(steps)), slices.Concat(lines, marks, names, times)...)
}

// detail tells under a step's name how long it took or how far it is.
func detail(s step, now feed.Build) string {
	switch {
	case s.took > 0:
		return s.time()
	case s.state == api.Running && now.Step == s.name:
		return progressLine(now)
	case s.state == api.Running:
		return "runs"
	case s.state == api.Passed: // it was skipped
		return "unchanged"
	}
	return ""
}

// pipeLayout places lines, marks, names and times of a number of steps.
type pipeLayout int

const pipeMark = 30

func (n pipeLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(float32(n)*70, pipeMark+2*lineStep+theme.InnerPadding())
}

func (n pipeLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	steps := int(n)
	column := s.Width / float32(steps)
	lines, marks, names, times := o[:steps-1], o[steps-1:2*steps-1], o[2*steps-1:3*steps-1], o[3*steps-1:]
	for i := range steps {
		left := float32(i) * column
		middle := left + column/2
		if i > 0 {
			lines[i-1].Resize(fyne.NewSize(column-pipeMark-8, 3))
			lines[i-1].Move(fyne.NewPos(middle-column+pipeMark/2+4, pipeMark/2-1))
		}
		marks[i].Resize(fyne.NewSquareSize(pipeMark))
		marks[i].Move(fyne.NewPos(middle-pipeMark/2, 0))
		for line, l := range []fyne.CanvasObject{names[i], times[i]} {
			l.Resize(fyne.NewSize(column, l.MinSize().Height))
			l.Move(fyne.NewPos(left, pipeMark-2+float32(line)*lineStep))
		}
	}
}

// taps is an invisible layer over a pipeline: a tap in a station's column opens it.
type taps struct {
	widget.BaseWidget
	columns int
	tapped  func(i int)
}

func newTaps(columns int, tapped func(i int)) *taps {
	t := &taps{columns: columns, tapped: tapped}
	t.ExtendBaseWidget(t)
	return t
}

// Tapped is called by Fyne.
func (t *taps) Tapped(e *fyne.PointEvent) {
	if i := int(e.Position.X / t.Size().Width * float32(t.columns)); i >= 0 && i < t.columns {
		t.tapped(i)
	}
}

// Cursor is called by Fyne.
func (t *taps) Cursor() desktop.Cursor { return desktop.PointerCursor }

// CreateRenderer is called by Fyne.
func (t *taps) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(container.NewStack())
}
