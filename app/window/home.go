package window

import (
	"context"
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
	news     string // what the cards show: they are made anew only if it changes
	bars     map[string]*buildCard
	stopping map[string]bool // builds whose cancellation was asked for, by id
	above    *fyne.Container // of the list
	filters  *fyne.Container
	only     app.Group // the group that is shown
	every    bool      // all groups
	find     *widget.Entry
	list     *widget.List
	all      []api.Row // in the order of the list
	rows     []api.Row // those that are shown
	builds   []feed.Build
	object_  fyne.CanvasObject
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
			w.Go(Route{pageReality, []string{v.rows[i].Target}})
		}
	}
	title := text("Home", theme.SizeNameHeadingText, true)
	table := widget.NewButton("All cells", func() { w.Go(Route{Page: pageReality}) })
	head := container.NewBorder(nil, nil, nil, container.NewCenter(container.NewHBox(container.NewGridWrap(fyne.NewSize(200, v.find.MinSize().Height), v.find), table)), title)
	names := text("recipe · builder · kernel · disk · boots · published", theme.SizeNameCaptionText, false)
	names.Importance, names.Alignment = widget.LowImportance, fyne.TextAlignTrailing
	v.above = container.NewVBox(head, v.cards, container.NewBorder(nil, nil, v.filters, nil, names))
	v.object_ = container.NewBorder(v.above, nil, nil, nil, container.NewStack(newBlock(look.Surface, look.Stroke, 12), v.list))
	return v
}

func (v *home) object() fyne.CanvasObject { return v.object_ }
func (v *home) leave()                    {}

func (v *home) update(s feed.State) {
	v.w.firstRun(s)
	v.builds = s.Builds
	v.all = slices.Clone(s.Rows)
	slices.SortStableFunc(v.all, func(a, b api.Row) int { return int(v.group(a)) - int(v.group(b)) })
	cards, filters, search := v.showCards(s), v.showFilters(), v.find.Hidden != (len(v.all) < searchFrom)
	v.find.Hidden = len(v.all) < searchFrom
	if cards || filters || search { // the parts above the list have other sizes
		v.above.Refresh()
		v.object_.Refresh()
	}
	v.choose()
}

// group is app.GroupOf; a target whose build waits or has just begun counts as building.
func (v *home) group(r api.Row) app.Group {
	if slices.ContainsFunc(v.builds, func(b feed.Build) bool { return b.Target == r.Target }) {
		return app.GroupBuilding
	}
	if g := app.GroupOf(r); g != app.GroupBuilding {
		return g
	}
	return app.GroupBuilding
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

// groups are the filters, with the state whose mark they have.
var groups = []struct {
	group app.Group
	word  string
}{{app.GroupBuilding, "Building"}, {app.GroupFailed, "Failed"}, {app.GroupOld, "Out of date"}, {app.GroupReady, "Ready"}, {app.GroupNew, "Not yet"}}

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
	for _, g := range groups {
		if count[g.group] > 0 {
			want = append(want, fmt.Sprintf("%s %d", g.word, count[g.group]))
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
		if v.every && strings.HasPrefix(b.Text, "All ") || !v.every && strings.HasPrefix(b.Text, wordOf(v.only)+" ") {
			imp = widget.MediumImportance
		}
		if b.Importance != imp {
			b.Importance = imp
			b.Refresh()
		}
	}
	return !same
}

func wordOf(g app.Group) string {
	return groups[slices.IndexFunc(groups, func(o struct {
		group app.Group
		word  string
	}) bool {
		return o.group == g
	})].word
}

func (v *home) filter(label string) {
	v.every = true
	for _, g := range groups {
		if strings.HasPrefix(label, g.word+" ") {
			v.every, v.only = false, g.group
		}
	}
	v.showFilters()
	v.choose()
}

// mostCards bounds the cards of failures: the rows have all of them.
const mostCards = 2

// showCards shows a card for each build, for what failed, and for what this computer
// lacks. It reports whether the cards have changed.
func (v *home) showCards(s feed.State) (changed bool) {
	var news []string
	for _, b := range s.Builds {
		news = append(news, "build "+b.ID)
	}
	var failed []api.Row
	for _, r := range v.all {
		if v.group(r) == app.GroupFailed {
			failed = append(failed, r)
			news = append(news, "failed "+r.Target+" "+app.Sentence(r))
		}
	}
	lacks := v.w.missing > 0 && v.w.first && !built(s)
	news = append(news, fmt.Sprint(lacks, v.w.missing, s.Live && len(s.Rows) == 0))
	if now := strings.Join(news, "\n"); now != v.news || len(v.cards.Objects) == 0 {
		v.news = now
		v.cards.Objects = nil
		v.bars = map[string]*buildCard{}
		if lacks {
			v.cards.Add(v.lackCard())
		}
		for _, b := range s.Builds {
			c := v.newBuildCard(b)
			v.bars[b.ID] = c
			v.cards.Add(c.object)
		}
		for _, r := range failed[:min(mostCards, len(failed))] {
			v.cards.Add(v.failCard(r))
		}
		changed = true
	}
	for _, b := range s.Builds {
		v.bars[b.ID].show(b, v.stopping[b.ID])
	}
	return changed
}

func (v *home) lackCard() fyne.CanvasObject {
	things := fmt.Sprintf("%d things", v.w.missing)
	if v.w.missing == 1 {
		things = "1 thing"
	}
	show := widget.NewButton("See what is missing", func() { v.w.Go(Route{Page: pageSettings}) })
	show.Importance = widget.HighImportance
	return panel(look.Old, container.NewBorder(nil, nil, container.NewCenter(pill(api.Stale, "First")), show, text("This computer lacks "+things+" that building and booting needs.", theme.SizeNameText, true)))
}

func (v *home) failCard(r api.Row) fyne.CanvasObject {
	see := widget.NewButton("See why", func() { v.w.Go(Route{pageReality, []string{r.Target}}) })
	see.Importance = widget.HighImportance
	why := text(clean(app.Sentence(r)), theme.SizeNameCaptionText, false)
	why.Importance = widget.LowImportance
	return panel(look.Bad, container.NewBorder(nil, nil, container.NewCenter(pill(api.Failed, "Needs you")), container.NewCenter(see), container.New(linesLayout{}, text(clean(titleOf(r)), theme.SizeNameText, true), why)))
}

// titleOf is the name of a target for a person.
func titleOf(r api.Row) string {
	if r.Title != "" {
		return r.Title
	}
	return r.Target
}

// buildCard is the card of a build.
type buildCard struct {
	object       fyne.CanvasObject
	head         *fyne.Container
	step, left   *widget.Label
	progress     *bar
	cancel       *widget.Button
	stopping     bool
	shown, where string
}

func (v *home) newBuildCard(b feed.Build) *buildCard {
	title := b.Target
	if i := slices.IndexFunc(v.all, func(r api.Row) bool { return r.Target == b.Target }); i >= 0 {
		title = titleOf(v.all[i])
	}
	c := &buildCard{step: text("", theme.SizeNameCaptionText, false), left: widget.NewLabel(""), progress: newBar()}
	c.step.Importance, c.left.TextStyle.Bold = widget.LowImportance, true
	watch := widget.NewButton("Watch", func() { v.w.Go(Route{pageBuilds, []string{b.Target, b.ID}}) })
	c.cancel = widget.NewButton("Cancel", func() {
		v.stopping[b.ID] = true
		c.show(b, true)
		v.w.do(func(ctx context.Context) error { return v.w.backend.Cancel(ctx, b.ID) }, func(err error) {
			if err != nil {
				delete(v.stopping, b.ID)
				c.show(b, false)
				v.w.showStatus(err, "")
			}
		})
	})
	c.cancel.Importance = widget.LowImportance
	c.head = container.NewBorder(nil, nil, container.NewCenter(pill(api.Running, "Building")), container.NewCenter(container.NewHBox(c.left, watch, c.cancel)), container.New(linesLayout{}, text(clean(title), theme.SizeNameText, true), c.step))
	c.object = panel(look.Stroke, container.NewVBox(c.head, c.progress))
	return c
}

// show shows how far the build is.
func (c *buildCard) show(b feed.Build, stopping bool) {
	line, left := buildLine(b), ""
	if b.ETA > 0 {
		left = about(b.ETA)
	}
	if stopping {
		line, left = "Cancelling…", ""
	}
	if c.shown != line {
		c.shown = line
		c.step.SetText(line)
	}
	if c.where != left {
		c.where = left
		c.left.SetText(left)
		c.head.Refresh() // its parts have other sizes
	}
	if p, ok := b.Percent(); ok {
		c.progress.set(float32(p) / 100)
	} else {
		c.progress.set(0)
	}
	if stopping != c.stopping {
		c.stopping = stopping
		if stopping {
			c.cancel.Disable()
		} else {
			c.cancel.Enable()
		}
	}
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
	if n := slices.IndexFunc(v.builds, func(b feed.Build) bool { return b.Target == r.Target }); n >= 0 {
		sentence = "Building: " + buildLine(v.builds[n])
		if b := v.builds[n]; b.ETA > 0 {
			sentence += ", " + about(b.ETA)
		}
		if v.stopping[v.builds[n].ID] {
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
		return "Watch", func() { w.Go(Route{pageBuilds, []string{r.Target}}) }
	case app.GroupFailed:
		return "Why?", func() { w.Go(Route{pageReality, []string{r.Target}}) }
	case app.GroupReady:
		return "Get image", func() { w.Go(Route{pageArtifacts, []string{r.Target}}) }
	case app.GroupOld:
		return "Build again", func() { w.build(api.Submission{Target: r.Target}) }
	}
	return "Build", func() { w.build(api.Submission{Target: r.Target}) }
}

// build asks for a build and shows it.
func (w *Window) build(s api.Submission) {
	w.showStatus(nil, "asking for a build of "+s.Target+"…")
	w.submitThen(s, func(id string) { w.Go(Route{pageBuilds, []string{s.Target, id}}) })
}

// open shows the evidence of a cell, or the row if there is none.
func (v *home) open(r api.Row, cell int) {
	if id := r.Cells()[cell].Cell.Evidence; id != "" {
		v.w.Go(Route{pageEvidence, []string{id}})
		return
	}
	v.w.Go(Route{pageReality, []string{r.Target}})
}

// rowLayout places name, second line, marks, sentence and button of a row.
type rowLayout struct{}

const rowHeight, rowPad = 54, 14

func (rowLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(420, rowHeight)
}

func (rowLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	marks, button := o[2].MinSize(), o[4].MinSize()
	name := min(270, max(120, s.Width*0.28))
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

// linesLayout puts two lines of text close to each other: labels have a padding.
type linesLayout struct{}

const lineStep = 20

func (linesLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(80, o[0].MinSize().Height+lineStep)
}

func (linesLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	first, second := o[0].MinSize().Height, o[1].MinSize().Height
	y := (s.Height - lineStep - second) / 2
	o[0].Resize(fyne.NewSize(s.Width, first))
	o[0].Move(fyne.NewPos(0, y-1))
	o[1].Resize(fyne.NewSize(s.Width, second))
	o[1].Move(fyne.NewPos(0, y+lineStep))
}
