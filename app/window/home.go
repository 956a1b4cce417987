package window

import (
	"fmt"
	"slices"
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

// home is the first page: what runs and what needs the user as cards, then a row for each
// target with a sentence and the one thing that it needs next.
type home struct {
	w        *Window
	cards    *fyne.Container
	first    *welcome // nil once something was built
	news     string   // what the cards show: they are made anew only if it changes
	bars     map[string]*buildCard
	stopping map[string]bool // builds whose cancellation was asked for, by id
	above    *fyne.Container // of the list
	filters  *fyne.Container
	only     app.Group // the group that is shown
	every    bool      // all groups
	find     *widget.Entry
	list     *widget.List
	all      []api.Row  // in the order of the list
	rows     []api.Row  // those that are shown
	state    feed.State // as of the last update
	whole    fyne.CanvasObject
}

// searchFrom is the number of targets from which on there is a search.
const searchFrom = 5

func newHome(w *Window, _ Route) view {
	v := &home{w: w, cards: container.NewVBox(), filters: container.NewHBox(), every: true, bars: map[string]*buildCard{}, stopping: map[string]bool{}, find: widget.NewEntry()}
	v.find.SetPlaceHolder("Search")
	v.find.OnChanged = func(string) { v.choose() }
	v.list = widget.NewList(func() int { return len(v.rows) }, v.newRow, v.fillRow)
	v.list.HideSeparators = false
	v.list.OnSelected = func(i widget.ListItemID) {
		v.list.UnselectAll()
		if i < len(v.rows) {
			w.Go(Route{pageTarget, []string{v.rows[i].Target}})
		}
	}
	title := text("Home", theme.SizeNameHeadingText, true)
	table := widget.NewButton("All cells", func() { w.Go(Route{Page: pageReality}) })
	head := container.NewBorder(nil, nil, nil, container.NewCenter(container.NewHBox(container.NewGridWrap(fyne.NewSize(200, v.find.MinSize().Height), v.find), table)), title)
	names := text("recipe · builder · kernel · disk · boots · published", theme.SizeNameCaptionText, false)
	names.Importance, names.Alignment = widget.LowImportance, fyne.TextAlignTrailing
	v.above = container.NewVBox(head, v.cards, container.NewBorder(nil, nil, v.filters, nil, names))
	v.whole = container.NewBorder(v.above, nil, nil, nil, container.NewStack(newBlock(look.Surface, look.Stroke, 12), v.list))
	return v
}

func (v *home) object() fyne.CanvasObject { return v.whole }
func (v *home) leave()                    { v.unwelcome() }

func (v *home) update(s feed.State) {
	v.w.firstRun(s)
	v.state = s
	v.all = slices.Clone(s.Rows)
	slices.SortStableFunc(v.all, func(a, b api.Row) int { return int(v.group(a)) - int(v.group(b)) })
	cards, filters, search := v.showCards(s), v.showFilters(), v.find.Hidden != (len(v.all) < searchFrom)
	v.find.Hidden = len(v.all) < searchFrom
	if cards || filters || search { // the parts above the list have other sizes
		v.resized()
	}
	v.choose()
}

// resized lays the page out again: a part above the list has another height.
func (v *home) resized() {
	v.above.Refresh()
	v.whole.Refresh()
}

// group is app.GroupOf; a target whose build waits or has just begun counts as building.
func (v *home) group(r api.Row) app.Group {
	if _, live := v.state.Build(r.Target); live {
		return app.GroupBuilding
	}
	return app.GroupOf(r)
}

// choose shows the rows that fit the search and the filter.
func (v *home) choose() {
	words := strings.Fields(strings.ToLower(v.find.Text))
	var rows []api.Row
	for _, r := range v.all {
		text := strings.ToLower(r.Target + " " + r.Title)
		fits := v.every || v.only == v.group(r)
		for _, w := range words {
			fits = fits && strings.Contains(text, w)
		}
		if fits {
			rows = append(rows, r)
		}
	}
	v.rows = rows
	v.list.Refresh()
}

// groups are the words of the filters, in the order of app.Group.
var groups = []string{app.GroupBuilding: "Building", app.GroupFailed: "Failed", app.GroupOld: "Out of date", app.GroupReady: "Ready", app.GroupNew: "Not yet"}

// showFilters shows how many targets are in each group; a press shows only those.
// It reports whether the filters have changed.
func (v *home) showFilters() (changed bool) {
	count := map[app.Group]int{}
	for _, r := range v.all {
		count[v.group(r)]++
	}
	if !v.every && count[v.only] == 0 {
		v.every = true
	}
	want := []string{fmt.Sprintf("All %d", len(v.all))}
	for g, word := range groups {
		if n := count[app.Group(g)]; n > 0 {
			want = append(want, fmt.Sprintf("%s %d", word, n))
		}
	}
	same := len(want) == len(v.filters.Objects)
	for i, o := range v.filters.Objects {
		same = same && o.(*widget.Button).Text == want[i]
	}
	if !same {
		v.filters.Objects = nil
		for _, label := range want {
			v.filters.Add(widget.NewButton(label, func() { v.filter(label) }))
		}
	}
	for _, o := range v.filters.Objects {
		b := o.(*widget.Button)
		imp := widget.LowImportance
		if v.every && strings.HasPrefix(b.Text, "All ") || !v.every && strings.HasPrefix(b.Text, groups[v.only]+" ") {
			imp = widget.MediumImportance
		}
		if b.Importance != imp {
			b.Importance = imp
			b.Refresh()
		}
	}
	return !same
}

func (v *home) filter(label string) {
	v.every = true
	for g, word := range groups {
		if strings.HasPrefix(label, word+" ") {
			v.every, v.only = false, app.Group(g)
		}
	}
	v.showFilters()
	v.choose()
}

func (v *home) newRow() fyne.CanvasObject {
	second := text("", theme.SizeNameCaptionText, false)
	second.Importance = widget.LowImportance
	return container.New(rowLayout{}, text("", theme.SizeNameText, true), second, newSix(), text("", theme.SizeNameText, false), widget.NewButton("Build", nil))
}

func (v *home) fillRow(i widget.ListItemID, o fyne.CanvasObject) {
	if i >= len(v.rows) {
		return
	}
	r := v.rows[i]
	parts := o.(*fyne.Container).Objects
	set := func(l *widget.Label, s string) {
		if l.Text != s {
			l.SetText(s)
		}
	}
	set(parts[0].(*widget.Label), clean(titleOf(r)))
	set(parts[1].(*widget.Label), clean(r.Target))
	parts[2].(*six).show(r, func(cell int) { v.open(r, cell) })
	g, sentence := v.group(r), app.Sentence(r)
	if b, live := v.state.Build(r.Target); live {
		sentence = "Building: " + buildLine(b)
		if b.ETA > 0 {
			sentence += ", " + about(b.ETA)
		}
		if v.stopping[b.ID] {
			sentence = "Cancelling…"
		}
	}
	line := parts[3].(*widget.Label)
	imp := map[app.Group]widget.Importance{app.GroupFailed: widget.DangerImportance, app.GroupOld: widget.WarningImportance, app.GroupReady: widget.SuccessImportance, app.GroupNew: widget.LowImportance}[g]
	if line.Importance != imp {
		line.Importance = imp
		line.Refresh()
	}
	set(line, clean(sentence))
	label, do := v.next(r, g)
	b := parts[4].(*widget.Button)
	b.OnTapped = do
	bimp := widget.MediumImportance
	if label == "Build" {
		bimp = widget.HighImportance
	}
	if b.Text != label || b.Importance != bimp {
		b.Text, b.Importance = label, bimp
		b.Refresh()
		o.Refresh()
	}
}

// next returns the one thing that a target needs.
func (v *home) next(r api.Row, g app.Group) (label string, do func()) {
	w := v.w
	switch g {
	case app.GroupBuilding:
		return "Watch", func() { w.Go(Route{pageTarget, []string{r.Target}}) }
	case app.GroupFailed:
		return "Why?", func() { w.Go(Route{pageTarget, []string{r.Target}}) }
	case app.GroupReady:
		return "Get image", func() { w.Go(Route{pageArtifacts, []string{r.Target}}) }
	case app.GroupOld:
		return "Build again", func() { w.build(api.Submission{Target: r.Target}) }
	}
	return "Build", func() { w.build(api.Submission{Target: r.Target}) }
}

// build asks for a build and shows the target's page.
func (w *Window) build(s api.Submission) {
	asking := w.view
	w.showStatus(nil, "asking for a build of "+s.Target+"…")
	w.submitThen(s, func(string) {
		if w.view == asking { // the same page is still shown
			w.Go(Route{pageTarget, []string{s.Target}})
		}
	})
}

// open shows the evidence of a cell, or the row if there is none.
func (v *home) open(r api.Row, cell int) {
	if id := r.Cells()[cell].Cell.Evidence; id != "" {
		v.w.Go(Route{pageEvidence, []string{id}})
		return
	}
	v.w.Go(Route{pageTarget, []string{r.Target}})
}

// rowLayout places name, second line, marks, sentence and button of a row.
type rowLayout struct{}

const rowHeight, rowPad = 54, 14

func (rowLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(420, rowHeight)
}

func (rowLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	marks, button := o[2].MinSize(), o[4].MinSize()
	name := min(290, max(200, s.Width*0.27))
	linesLayout{}.Layout(o[:2], fyne.NewSize(name, s.Height))
	for _, l := range o[:2] {
		l.Move(l.Position().AddXY(rowPad-theme.InnerPadding(), 0))
	}
	o[2].Resize(marks)
	o[2].Move(fyne.NewPos(rowPad+name, (s.Height-marks.Height)/2))
	o[4].Resize(button)
	o[4].Move(fyne.NewPos(s.Width-button.Width-rowPad, (s.Height-button.Height)/2))
	from := rowPad + name + marks.Width + 8
	h := o[3].MinSize().Height
	o[3].Resize(fyne.NewSize(max(0, s.Width-button.Width-2*rowPad-from), h))
	o[3].Move(fyne.NewPos(from, (s.Height-h)/2))
}
