package window

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
	"ingot/backend/status"
)

// targetPage is one target: where its build or image stands, why it failed, the film of
// its boot, the log, its recipe and the builds before.
type targetPage struct {
	w        *Window
	name     string
	row      api.Row
	title    *widget.Label
	state    *fyne.Container
	actions  *fyne.Container
	more     *fyne.Container // what is done less often
	stopping string          // id of the build whose cancellation was asked for
	doing    string          // what the buttons are for
	failure  *fyne.Container
	trouble  trouble // in failure
	stations *fyne.Container
	line     []station // that stations shows
	progress *bar
	foot     *fyne.Container
	how      *widget.Label // the line under the bar
	left     *widget.Label
	film     *fyne.Container
	boot     string // name of the boot that is shown; "" is the newest
	films    []film
	shown    string // what film shows
	one      *buildLog
	taps     *taps                  // over the stations: one object, since a press and its release must meet the same
	journals map[string][]api.Event // of ended builds, by id
	good     *goodProof
	history  *widget.List
	builds   []status.BuildInfo // newest first
	read     *reading[story]
	tabs     *container.AppTabs
	now      *fyne.Container
	all      fyne.CanvasObject
}

// story is what a target's page reads.
type story struct {
	builds  []status.BuildInfo // newest first
	events  []api.Event        // of the newest one
	written written
	before  map[string]time.Duration // how long steps took
	plan    []string                 // the steps of the last whole build
	proof   string                   // id of the newest proof that passed
	films   []film
}

// Tabs of a target's page, in routes.
const (
	tabNow     = "now"
	tabRecipe  = "recipe"
	tabHistory = "history"
)

func newTargetPage(w *Window, r Route) view {
	v := &targetPage{w: w, name: r.arg(0), state: container.NewStack(), actions: container.NewHBox(), more: container.NewHBox(), failure: container.NewVBox(), stations: container.NewStack(), progress: newBar(), how: text("", theme.SizeNameCaptionText, false), left: text("", theme.SizeNameCaptionText, true), film: container.NewStack()}
	v.title = text(clean(v.name), theme.SizeNameHeadingText, true)
	v.how.Importance, v.left.Alignment = widget.LowImportance, fyne.TextAlignTrailing
	back := widget.NewButtonWithIcon("Home", theme.NavigateBackIcon(), func() { w.Go(Route{Page: pageHome}) })
	back.Importance = widget.LowImportance
	head := container.NewBorder(nil, nil, container.NewCenter(back), container.NewCenter(container.NewHBox(container.NewCenter(v.state), v.actions)), v.title)
	v.one = newBuildLog(w)
	v.journals, v.good = map[string][]api.Event{}, &goodProof{}
	v.taps = newTaps(len(api.Row{}.Cells()), v.open)
	v.left.Truncation = fyne.TextTruncateOff
	v.foot = container.NewBorder(nil, nil, nil, container.NewHBox(v.left, v.more), v.how)
	line := panel(look.Stroke, container.NewVBox(v.stations, v.progress, v.foot))
	v.now = container.NewVBox(v.failure, line, v.film)
	parts := container.New(aboveLayout{v.one.card}, container.NewVScroll(container.NewPadded(v.now)), container.NewPadded(v.one.card))
	v.one.shown = parts.Refresh
	v.history = v.newHistory()
	v.tabs = container.NewAppTabs(container.NewTabItem("Now", parts), container.NewTabItem("Recipe", container.NewStack()), container.NewTabItem("History", v.history))
	v.tabs.OnSelected = func(t *container.TabItem) {
		if box, ok := t.Content.(*fyne.Container); ok && t.Text == "Recipe" && len(box.Objects) == 0 {
			box.Objects = []fyne.CanvasObject{w.recipe(v.name)}
			box.Refresh()
		}
	}
	switch r.arg(1) {
	case tabRecipe:
		v.tabs.SelectIndex(1)
	case tabHistory:
		v.tabs.SelectIndex(2)
	}
	v.all = container.NewBorder(head, nil, nil, nil, v.tabs)
	v.read = &reading[story]{w: w, read: v.readStory, show: v.draw}
	return v
}

func (v *targetPage) object() fyne.CanvasObject { return v.all }

func (v *targetPage) leave() {
	v.read.leave()
	v.one.leave()
}

func (v *targetPage) update(s feed.State) {
	row, ok := s.Row(v.name)
	if !ok {
		if s.Live {
			v.title.SetText(clean(v.name) + ": there is no such target")
		}
		return
	}
	v.row = row
	if title := clean(titleOf(row)); v.title.Text != title {
		v.title.SetText(title)
	}
	v.read.start()
}

// active returns the target's build that runs or waits.
func (v *targetPage) active() (feed.Build, bool) {
	return v.w.feed.State().Build(v.name)
}

// readStory reads the builds of the target and the film of its last boot. A part that
// cannot be read leaves the others.
func (v *targetPage) readStory(ctx context.Context) (got story, err error) {
	b := v.w.backend
	all, err := b.Builds(v.name)
	slices.Reverse(all)
	got.builds, got.before = all, map[string]time.Duration{}
	for i, one := range all[:min(endedShown, len(all))] {
		events, jerr := v.journalOf(one)
		err = errors.Join(err, jerr)
		if i == 0 {
			got.events = events
			var lerr error
			got.written.logs, lerr = b.LogFiles(v.name, one.ID)
			got.written.newest, err = newestLog(got.written.logs), errors.Join(err, lerr)
		}
		if got.plan == nil && one.Outcome == api.OutcomePassed {
			for _, s := range timeline(events) {
				got.plan = append(got.plan, s.name)
			}
		}
		timesOf(got.before, events)
		for _, e := range events {
			if got.proof == "" && e.Kind == api.EventEvidence && e.Step == "" && strings.HasPrefix(e.Evidence, "proof-") && e.Msg == "passed" {
				got.proof = e.Evidence
			}
		}
	}
	var ferr error
	row, _ := v.w.feed.State().Row(v.name)
	got.films, ferr = v.w.filmsOf(ctx, row, got, v.good)
	return got, errors.Join(err, ferr)
}

// journalOf returns the events of a build; that of one that has ended is read once. It runs
// in the goroutine of the reading, one at a time.
func (v *targetPage) journalOf(b status.BuildInfo) ([]api.Event, error) {
	if events, ok := v.journals[b.ID]; ok {
		return events, nil
	}
	events, err := v.w.backend.Journal(v.name, b.ID)
	if err == nil && b.Outcome != "" {
		v.journals[b.ID] = events
	}
	return events, err
}

// draw shows what was read.
func (v *targetPage) draw(got story, err error) {
	now, live := v.active()
	if err != nil && !live {
		v.w.showStatus(err, "")
	}
	v.showState(now, live)
	v.showFailure(got)
	v.showLine(got, now, live)
	v.films = got.films
	v.showFilm()
	v.one.follow(got, live)
	if !slices.Equal(v.builds, got.builds) {
		v.builds = got.builds
		v.tabs.Items[2].Text = fmt.Sprintf("History (%d)", len(v.builds))
		v.history.Refresh()
		v.tabs.Refresh()
	}
}

// showState shows the state in a word, and the buttons that fit it.
func (v *targetPage) showState(now feed.Build, live bool) {
	group := app.GroupOf(v.row)
	if live {
		group = app.GroupBuilding
	}
	state, word := api.Unknown, "Not yet"
	switch group {
	case app.GroupBuilding:
		state, word = api.Running, "Building"
	case app.GroupFailed:
		state, word = api.Failed, "Failed"
	case app.GroupOld:
		state, word = api.Stale, "Out of date"
	case app.GroupReady:
		state, word = api.Passed, "Boots"
	}
	if now.ID != v.stopping { // it has ended, or another one runs
		v.stopping = ""
	}
	doing := fmt.Sprint(word, now.ID, v.stopping, v.row.Exported.State, v.row.Boots.State, v.row.Published.State)
	if doing == v.doing {
		return // do not replace a button below the pointer
	}
	v.doing = doing
	v.state.Objects = []fyne.CanvasObject{pill(state, word)}
	v.actions.Objects, v.more.Objects = nil, nil
	w := v.w
	add := func(label string, enabled bool, do func()) *widget.Button {
		b := widget.NewButton(label, do)
		if !enabled {
			b.Disable()
		}
		v.actions.Add(b)
		return b
	}
	seldom := func(label string, do func()) {
		b := widget.NewButton(label, do)
		b.Importance = widget.LowImportance
		v.more.Add(b)
	}
	switch {
	case v.stopping != "":
		add("Cancelling…", false, nil)
	case live:
		add("Cancel build", true, func() { v.cancel(now.ID) })
	default:
		label := "Build"
		if group == app.GroupReady || group == app.GroupOld {
			label = "Build again"
		}
		b := add(label, true, func() { w.build(api.Submission{Target: v.name}) })
		if group != app.GroupReady {
			b.Importance = widget.HighImportance
		}
	}
	if !live && v.row.Exported.State == api.Passed {
		seldom("Boot test", func() {
			w.build(api.Submission{Target: v.name, Until: "prove", Force: []string{"prove"}})
		})
	}
	if !live && v.row.Boots.State == api.Passed && v.row.Published.State != api.Passed {
		seldom("Publish", func() { w.build(api.Submission{Target: v.name, Force: []string{"publish"}}) })
	}
	if v.row.Exported.State == api.Passed || v.row.Exported.State == api.Stale {
		b := add("Get image", true, func() { w.Go(Route{pageArtifacts, []string{v.name}}) })
		if group == app.GroupReady {
			b.Importance = widget.HighImportance
		}
	}
	v.all.Refresh()
}

func (v *targetPage) cancel(id string) {
	v.stopping = id
	now, live := v.active()
	v.showState(now, live)
	v.w.do(func(ctx context.Context) error { return v.w.backend.Cancel(ctx, id) }, func(err error) {
		if err != nil {
			v.stopping = ""
			now, live := v.active()
			v.showState(now, live)
		}
		v.w.showStatus(err, "build "+id+" is being cancelled")
	})
}

// showFailure shows why the target failed: by its last build, or by its row.
func (v *targetPage) showFailure(got story) {
	var t trouble
	failed := false
	if _, live := v.active(); !live {
		t, failed = v.w.troubleIn(v.name, got.events)
		if name, ok := app.CellIn(v.row, api.Failed); ok && !failed {
			for _, c := range v.row.Cells() {
				if c.Name == name {
					t, failed = v.w.troubleOf(trouble{target: v.name, what: app.Failed(name), message: c.Cell.Message, cause: c.Cell.Cause}), true
				}
			}
		}
	}
	if t == v.trouble {
		return // do not replace a button below the pointer
	}
	v.trouble, v.failure.Objects = t, nil
	if failed {
		v.failure.Add(v.w.failureCard(t))
	}
	v.now.Refresh()
}

// cellSteps are the steps whose work a cell shows, in the order of a build.
var cellSteps = map[string][]string{"kernel": {"kernel"}, "exported": {"rootfs", "image", "export"}, "boots": {"tools", "prove"}, "published": {"publish"}}

// showLine shows the six cells as the stations of a build, and how far it is.
func (v *targetPage) showLine(got story, now feed.Build, live bool) {
	steps := timeline(got.events)
	if live && (len(got.builds) == 0 || got.builds[0].ID != now.ID) { // it has written nothing yet
		steps = nil
	}
	var line []station
	for _, c := range v.row.Cells() {
		line = append(line, stationOf(c.Name, c.Cell, steps, now, live))
	}
	if !slices.Equal(line, v.line) {
		v.line = line
		v.stations.Objects = []fyne.CanvasObject{pipeline(line), v.taps}
		v.stations.Refresh()
	}
	how, left := app.Sentence(v.row), ""
	v.progress.Hidden = !live
	if live {
		how = buildLine(now)
		if now.ETA > 0 {
			left = now.Step + ": " + about(now.ETA)
		}
		v.progress.set(0)
		if e, ok := estimated(got.plan, steps, now, got.before, time.Now()); ok && !now.Started.IsZero() {
			v.progress.set(float32(e.done))
			how = fmt.Sprintf("%.0f %% of the build · %s so far · %s", 100*e.done, formatDuration(time.Since(now.Started).Round(time.Second)), how)
			if e.left > 0 {
				left = about(e.left)
			}
		} else if p, ok := now.Percent(); ok {
			v.progress.set(float32(p) / 100)
		}
		if v.stopping != "" {
			how, left = "Cancelling…", ""
		}
	} else if end := ending(got.events, live); len(got.events) > 0 && v.trouble == (trouble{}) {
		if len(end) < 24 { // "Passed in 26m53s."
			left = end
		} else {
			how = end
		}
	}
	if v.trouble != (trouble{}) {
		how = "" // the card above has it
	}
	v.how.SetText(clean(how))
	v.left.Importance = widget.LowImportance
	if live {
		v.left.Importance = widget.MediumImportance
	}
	v.left.SetText(left)
	v.foot.Hidden = how == "" && left == "" && len(v.more.Objects) == 0
	v.now.Refresh()
}

// stationOf is a cell as a station: its state is that of the cell, its time that of the
// steps that the newest build took for it.
func stationOf(name string, c api.Cell, steps []step, now feed.Build, live bool) station {
	s := station{name: title(api.CellTitle(name)), state: c.State, detail: cellText(c)}
	var took time.Duration
	for _, own := range cellSteps[name] {
		for _, st := range steps {
			if st.name != own {
				continue
			}
			took += st.took
		}
		if live && now.Step == own {
			s.state, s.detail = api.Running, "runs"
			if p, ok := now.Percent(); ok {
				s.detail = fmt.Sprintf("%d %%", p)
			}
		}
	}
	switch {
	case took > 0 && (s.state == api.Passed || s.state == api.Failed):
		s.detail = formatDuration(took.Round(time.Second))
	case s.state == api.Passed && c.Note == "" && len(steps) > 0 && len(cellSteps[name]) > 0:
		s.detail = "unchanged"
	case s.state == api.Passed && c.Note == "":
		s.detail = "" // the mark has told it
	}
	return s
}

// open shows the evidence of a station, or the table of all cells.
func (v *targetPage) open(i int) {
	if id := v.row.Cells()[i].Cell.Evidence; id != "" {
		v.w.Go(Route{pageEvidence, []string{id}})
		return
	}
	v.w.Go(Route{pageReality, []string{v.name}})
}

// troubleIn returns why a build failed, by its journal; false if it has not.
func (w *Window) troubleIn(target string, events []api.Event) (trouble, bool) {
	if len(events) == 0 {
		return trouble{}, false
	}
	last := events[len(events)-1]
	if last.Kind != api.EventBuildFinished || last.Outcome != api.OutcomeFailed {
		return trouble{}, false
	}
	what := "The build failed"
	for _, e := range events {
		if e.Kind == api.EventStepFinished && e.Outcome == api.OutcomeFailed {
			what = "The step " + e.Step + " failed"
		}
	}
	return w.troubleOf(trouble{target: target, what: what, message: last.Msg, cause: last.Cause, fix: last.Fix}), true
}

func (v *targetPage) newHistory() *widget.List {
	l := widget.NewList(func() int { return len(v.builds) }, func() fyne.CanvasObject {
		second := text("", theme.SizeNameCaptionText, false)
		second.Importance = widget.LowImportance
		return container.NewBorder(nil, nil, container.NewCenter(widget.NewIcon(nil)), nil, container.New(linesLayout{}, text("", theme.SizeNameText, true), second))
	}, func(i widget.ListItemID, o fyne.CanvasObject) {
		if i >= len(v.builds) {
			return
		}
		b := v.builds[i]
		parts := o.(*fyne.Container).Objects
		rows := parts[0].(*fyne.Container).Objects
		rows[0].(*widget.Label).SetText(formatTime(b.Started) + " · " + outcomeText(b))
		rows[1].(*widget.Label).SetText(b.ID)
		parts[1].(*fyne.Container).Objects[0].(*widget.Icon).SetResource(icon(stateOf(b)))
	})
	l.OnSelected = func(i widget.ListItemID) {
		if i < len(v.builds) {
			v.w.Go(Route{pageBuilds, []string{v.name, v.builds[i].ID}})
		}
	}
	return l
}

// showFilm shows the film of the last boot, or of the one that was chosen.
func (v *targetPage) showFilm() {
	if len(v.films) == 0 {
		if len(v.film.Objects) > 0 {
			v.film.Objects, v.shown = nil, ""
			v.now.Refresh()
		}
		return
	}
	at := slices.IndexFunc(v.films, func(f film) bool { return f.name == v.boot })
	if at < 0 {
		at = worstBoot(v.films)
	}
	f := v.films[at]
	key := fmt.Sprint(f, len(v.films))
	if key == v.shown {
		return
	}
	v.shown = key
	name := text("Boot film", theme.SizeNameSubHeadingText, true)
	name.Truncation = fyne.TextTruncateOff
	choice := container.NewHBox()
	for i, other := range v.films {
		b := widget.NewButton(bootTitle(other.name), func() { v.boot = other.name; v.showFilm() })
		b.Importance = widget.LowImportance
		if i == at {
			b.Importance = widget.MediumImportance
		}
		choice.Add(b)
	}
	word := map[api.State]string{api.Passed: "Boots", api.Failed: "Failed", api.Running: "Live"}[f.verdict]
	if f.verdict == api.Passed && v.row.Boots.State != api.Passed {
		word = "Booted" // then; the recipe or the image has changed since
	}
	head := container.NewBorder(nil, nil, name, container.NewCenter(pill(f.verdict, word)), choice)
	v.film.Objects = []fyne.CanvasObject{panel(look.Stroke, container.NewVBox(head, f.object()))}
	v.now.Refresh()
}

// worstBoot returns the index of the boot that runs or failed, else 0.
func worstBoot(films []film) int {
	return max(0, slices.IndexFunc(films, func(f film) bool { return f.verdict != api.Passed }))
}

func bootTitle(name string) string {
	switch name {
	case "seeded":
		return "With a seed"
	case "unseeded":
		return "Without a seed"
	}
	return title(clean(name))
}
