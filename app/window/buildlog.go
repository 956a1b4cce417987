package window

import (
	"path/filepath"
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/look"
)

// buildLog is a card with the logs of a target's newest build. While it runs, the card
// shows the one that is written to.
type buildLog struct {
	w      *Window
	build  string // id
	paths  []string
	live   bool
	newest int // index in paths of the log written last
	files  *widget.Select
	log    *logList
	space  *fyne.Container
	card   fyne.CanvasObject
	shown  func() // after the card has come
}

func newBuildLog(w *Window) *buildLog {
	l := &buildLog{w: w, space: container.NewStack()}
	l.files = widget.NewSelect(nil, func(string) { l.open(l.files.SelectedIndex()) })
	l.files.PlaceHolder = "no log yet"
	head := container.NewBorder(nil, nil, text("Log", theme.SizeNameSubHeadingText, true), nil, container.NewHBox(container.NewGridWrap(fyne.NewSize(260, l.files.MinSize().Height), l.files)))
	head.Objects[1].(*widget.Label).Truncation = fyne.TextTruncateOff
	l.card = panel(look.Stroke, container.NewBorder(head, nil, nil, nil, l.space))
	l.card.Hide()
	return l
}

// aboveLayout puts the first object above the second, which gets what the first does not
// need, and a third of the height at least; nothing while the log is hidden.
type aboveLayout struct{ log fyne.CanvasObject }

func (aboveLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(max(o[0].MinSize().Width, o[1].MinSize().Width), o[0].MinSize().Height+o[1].MinSize().Height)
}

func (l aboveLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	high := s.Height
	if l.log.Visible() {
		const gap = 4
		high = min(o[0].(*container.Scroll).Content.MinSize().Height, s.Height*2/3)
		o[1].Move(fyne.NewPos(0, high+gap))
		o[1].Resize(fyne.NewSize(s.Width, s.Height-high-gap))
	}
	o[0].Move(fyne.NewPos(0, 0))
	o[0].Resize(fyne.NewSize(s.Width, high))
}

// follow shows the logs of the newest build.
func (l *buildLog) follow(got story, live bool) {
	if len(got.builds) == 0 || len(got.written.logs) == 0 {
		return
	}
	if !l.card.Visible() {
		l.card.Show()
		l.shown()
	}
	fresh := got.builds[0].ID != l.build
	if !fresh && slices.Equal(got.written.logs, l.paths) && live == l.live && got.written.newest == l.newest {
		return
	}
	turned := got.written.newest != l.newest
	l.build, l.paths, l.live, l.newest = got.builds[0].ID, got.written.logs, live, got.written.newest
	names := make([]string, len(l.paths))
	for i, p := range l.paths {
		names[i] = filepath.Base(p)
	}
	l.files.SetOptions(names)
	if n := got.written.newest; n >= 0 && (fresh || live && turned) {
		l.files.SetSelectedIndex(n)
		l.open(n) // the name may be that of another build's
	}
}

func (l *buildLog) open(i int) {
	if i < 0 || i >= len(l.paths) || l.log != nil && l.log.file == l.paths[i] {
		return
	}
	l.leave()
	l.log = newLogList(l.w, l.paths[i], l.live)
	l.space.Objects = []fyne.CanvasObject{l.log.all}
	l.space.Refresh()
}

func (l *buildLog) leave() {
	if l.log != nil {
		l.log.leave()
	}
}
