package window

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/api"
)

// reality shows the table of targets by the six cells, and below it the details
// of the selected cell.
type reality struct {
	w     *Window
	rows  []api.Row
	table *widget.Table
	at    widget.TableCellID
	foot  *fyne.Container
	all   *fyne.Container
	hint  *widget.Label
	lacks *fyne.Container // what this computer lacks, at the first run
	top   *fyne.Container // lacks and hint
}

var realityColumns = []string{"target", "recipe", "builder", "kernel", "disk", "boots", "published"}

func newReality(w *Window, r Route) view {
	v := &reality{w: w, foot: container.NewVBox(), at: widget.TableCellID{Row: -1}, hint: widget.NewLabel(""), lacks: container.NewVBox()}
	v.hint.Wrapping = fyne.TextWrapWord
	v.table = widget.NewTableWithHeaders(func() (int, int) { return len(v.rows), len(realityColumns) }, newStateCell, v.fill)
	v.table.ShowHeaderColumn = false
	v.table.UpdateHeader = func(id widget.TableCellID, o fyne.CanvasObject) {
		l := o.(*widget.Label)
		l.TextStyle.Bold = true
		l.SetText(realityColumns[id.Col])
	}
	v.table.OnSelected = v.choose
	v.top = container.NewVBox(v.lacks, v.hint)
	v.all = container.NewBorder(v.top, container.NewVBox(widget.NewSeparator(), v.foot), nil, nil, container.New(columnsLayout{v.table}, v.table))
	if name := r.arg(0); name != "" {
		for i, row := range w.feed.State().Rows {
			if row.Target == name {
				v.at = widget.TableCellID{Row: i, Col: worst(row) + 1}
			}
		}
	}
	return v
}

// columnsLayout gives a table the whole space, and its columns the whole width.
type columnsLayout struct{ table *widget.Table }

func (columnsLayout) MinSize(o []fyne.CanvasObject) fyne.Size { return o[0].MinSize() }

func (l columnsLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	const least, name, last = 118, 180, 168 // of a cell, a target's name, and the column with a note
	rest := max(0, s.Width-least*float32(len(realityColumns)-2)-name-last-float32(len(realityColumns))*theme.Padding())
	for i := range realityColumns {
		wide := float32(least)
		switch i {
		case 0:
			wide = name + rest/4
		case len(realityColumns) - 1:
			wide = last + rest/4
		default:
			wide += rest / 2 / float32(len(realityColumns)-2)
		}
		l.table.SetColumnWidth(i, wide)
	}
	o[0].Resize(s)
}

// worst returns the column of the most important cell: the first that failed,
// else the first that has not passed, else the last.
func worst(r api.Row) int {
	cells := r.Cells()
	at := len(cells) - 1
	for i := at; i >= 0; i-- {
		if cells[i].Cell.State != api.Passed && cells[at].Cell.State != api.Failed || cells[i].Cell.State == api.Failed {
			at = i
		}
	}
	return at
}

func newStateCell() fyne.CanvasObject {
	l := widget.NewLabel("")
	l.Truncation = fyne.TextTruncateEllipsis
	return container.NewBorder(nil, nil, widget.NewIcon(nil), nil, l)
}

func (v *reality) fill(id widget.TableCellID, o fyne.CanvasObject) {
	if id.Row >= len(v.rows) {
		return
	}
	parts := o.(*fyne.Container).Objects
	text, mark := parts[0].(*widget.Label), parts[1].(*widget.Icon)
	row := v.rows[id.Row]
	if id.Col == 0 {
		mark.Hide()
		text.SetText(clean(row.Target))
		o.Refresh()
		return
	}
	mark.Show()
	o.Refresh()
	c := row.Cells()[id.Col-1].Cell
	mark.SetResource(icon(c.State))
	text.SetText(cellText(c))
}

// cellText returns a cell's state in a word or two.
func cellText(c api.Cell) string {
	word := c.State.String()
	switch c.State {
	case api.Unknown:
		word = "not yet"
	case api.Stale:
		word = "out of date"
	}
	if c.Note != "" {
		return word + ", " + c.Note
	}
	return word
}

func (v *reality) object() fyne.CanvasObject { return v.all }
func (v *reality) leave()                    {}

func (v *reality) update(s feed.State) {
	v.rows = s.Rows
	v.table.Refresh()
	v.w.firstRun(s)
	v.lacking(s)
	v.hint.Hide()
	passed := false
	for _, r := range s.Rows {
		passed = passed || r.Boots.State == api.Passed
	}
	if s.Live && !passed {
		text := "No image has been booted here yet. Select a target's row and press Build: Ingot builds its kernel and disk, boots the disk, and shows the result here."
		if len(v.lacks.Objects) == 0 {
			text += " Settings ▸ This computer lists what is missing."
		}
		v.hint.SetText(text)
		v.hint.Show()
	}
	v.lacks.Hidden = len(v.lacks.Objects) == 0
	v.top.Hidden = !v.hint.Visible() && v.lacks.Hidden
	v.choose(v.at)
}

// lacking shows how much this computer lacks, until the first build is begun.
func (v *reality) lacking(s feed.State) {
	if v.w.missing == 0 || !v.w.first || built(s) {
		v.lacks.Objects = nil
		return
	}
	if len(v.lacks.Objects) > 0 {
		return // do not replace a button below the pointer
	}
	text := widget.NewLabel(v.w.lacks())
	text.TextStyle.Bold = true
	text.Truncation = fyne.TextTruncateEllipsis
	show := widget.NewButton("See what is missing", func() { v.w.Go(Route{Page: pageSettings}) })
	show.Importance = widget.HighImportance
	v.lacks.Objects = []fyne.CanvasObject{container.NewBorder(nil, nil, widget.NewIcon(theme.NewWarningThemedResource(theme.WarningIcon())), show, text)}
}

func (v *reality) choose(id widget.TableCellID) {
	v.at = id
	v.foot.Objects = nil
	defer v.all.Refresh() // the sizes of its parts have changed
	if id.Row < 0 || id.Row >= len(v.rows) {
		v.foot.Add(widget.NewLabel("Select a cell to see its evidence and what to do."))
		return
	}
	row := v.rows[id.Row]
	col := id.Col - 1
	if col < 0 {
		col = worst(row)
	}
	c := row.Cells()[col]
	if c.Cell.State == api.Failed {
		v.foot.Add(v.w.failureCard(v.w.troubleOf(trouble{target: row.Target, what: clean(row.Target) + ": " + api.CellTitle(c.Name), message: c.Cell.Message, cause: c.Cell.Cause})))
	} else {
		v.foot.Add(v.explain(row, c.Name, c.Cell))
	}
	v.foot.Add(v.actions(row, c.Cell))
}

// explain shows the details of a cell and the possible actions.
func (v *reality) explain(row api.Row, name string, c api.Cell) fyne.CanvasObject {
	head := widget.NewLabel(clean(row.Target) + " · " + api.CellTitle(name) + ": " + cellText(c))
	head.TextStyle.Bold = true
	head.Truncation = fyne.TextTruncateEllipsis
	body := why(v.w.backend, c)
	if name == "boots" && c.State == api.Passed {
		body += " " + row.Machines()
	}
	if t := formatTime(c.At); t != "" {
		body = t + ". " + body
	}
	text := widget.NewLabel(body)
	text.Wrapping = fyne.TextWrapWord
	return container.NewVBox(container.NewBorder(nil, nil, widget.NewIcon(icon(c.State)), nil, head), text)
}

// why returns a cell's message with the meaning and the fix of its cause.
func why(b Backend, c api.Cell) string {
	text := clean(c.Message)
	if c.Cause != "" {
		if text != "" {
			text += " "
		}
		text += "(" + c.Cause + ")"
		if f, ok := b.Describe(c.Cause); ok {
			text += "\n" + f.Means + ". " + f.Fix
		}
	}
	switch {
	case text != "":
		return text
	case c.State == api.Unknown:
		return "Not built yet."
	case c.State == api.Running:
		return "A build is running."
	case c.State == api.Passed:
		return "Confirmed by signed evidence."
	}
	return ""
}

func (v *reality) actions(row api.Row, c api.Cell) fyne.CanvasObject {
	w := v.w
	build := widget.NewButtonWithIcon("Build", theme.MediaPlayIcon(), func() { w.submit(api.Submission{Target: row.Target}) })
	build.Importance = widget.HighImportance
	boot := widget.NewButton("Boot test", func() { w.submit(api.Submission{Target: row.Target, Until: "prove", Force: []string{"prove"}}) })
	publish := widget.NewButton("Publish", func() { w.submit(api.Submission{Target: row.Target, Force: []string{"publish"}}) })
	show := widget.NewButton("Builds", func() { w.Go(Route{pageBuilds, []string{row.Target}}) })
	bar := container.NewHBox(build, boot, publish, show)
	if c.Evidence != "" {
		bar.Add(widget.NewButton("Evidence", func() { w.Go(Route{pageEvidence, []string{c.Evidence}}) }))
	}
	if row.Exported.State != api.Passed {
		boot.Disable()
	}
	if row.Boots.State != api.Passed || row.Published.State == api.Passed {
		publish.Disable()
	}
	return bar
}

// submit submits a build to the owner and shows the result in the status line.
func (w *Window) submit(s api.Submission) { w.submitThen(s, func(string) {}) }

// submitThen is submit; queued gets the build's id.
func (w *Window) submitThen(s api.Submission, queued func(id string)) {
	if w.asked[s.Target] {
		return // a second press
	}
	w.asked[s.Target] = true
	var id string
	w.do(func(ctx context.Context) (err error) {
		id, err = w.backend.Submit(ctx, s)
		return err
	}, func(err error) {
		delete(w.asked, s.Target)
		if err == nil {
			queued(id)
		}
		w.showStatus(err, "build "+id+" of "+s.Target+" is queued")
	})
}
