package window

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend"
)

// builds lists the builds that run, wait and have ended, and shows one: its
// steps, its logs, why it failed.
type builds struct {
	w      *Window
	want   Route // the build that was asked for
	list   *widget.List
	items  []buildItem // those that run or wait, then those that have ended
	ended  []buildItem
	known  []backend.Row // when the ended ones were read
	read   *reading[[]buildItem]
	shown  string // id
	detail *fyne.Container
	one    *buildView
	all    fyne.CanvasObject
}

// buildItem is a line of the list.
type buildItem struct {
	id, target string
	state      backend.State
	text       string
}

func newBuilds(w *Window, r Route) view {
	v := &builds{w: w, want: r, detail: container.NewStack()}
	v.list = widget.NewList(func() int { return len(v.items) }, func() fyne.CanvasObject {
		name, text := widget.NewLabel(""), widget.NewLabel("")
		name.TextStyle.Bold = true
		name.Truncation, text.Truncation = fyne.TextTruncateEllipsis, fyne.TextTruncateEllipsis
		return container.NewBorder(nil, nil, widget.NewIcon(nil), nil, container.NewVBox(name, text))
	}, func(i widget.ListItemID, o fyne.CanvasObject) {
		parts := o.(*fyne.Container).Objects
		it := v.items[i]
		parts[1].(*widget.Icon).SetResource(icon(it.state))
		rows := parts[0].(*fyne.Container).Objects
		rows[0].(*widget.Label).SetText(clean(it.target))
		rows[1].(*widget.Label).SetText(clean(it.text))
	})
	v.list.OnSelected = func(i widget.ListItemID) {
		if i < len(v.items) {
			v.show(v.items[i].target, v.items[i].id)
		}
	}
	split := container.NewHSplit(v.list, v.detail)
	split.Offset = 0.3
	v.all = split
	v.read = &reading[[]buildItem]{w: w, read: v.readEnded, show: func(ended []buildItem, err error) {
		if err != nil {
			w.say(err, "")
		}
		v.ended = ended
		v.draw(w.feed.State())
	}}
	return v
}

func (v *builds) object() fyne.CanvasObject { return v.all }

func (v *builds) leave() {
	v.read.leave()
	if v.one != nil {
		v.one.leave()
	}
}

// endedShown is how many ended builds of a target are listed.
const endedShown = 10

// update draws the builds at work; the ended ones are read again when a row has
// changed, since then one may have come to them.
func (v *builds) update(s feed.State) {
	if !slices.Equal(v.known, s.Rows) {
		v.known = s.Rows
		v.read.start()
	}
	v.draw(s)
}

// readEnded reads the newest builds of all targets, newest first.
func (v *builds) readEnded(context.Context) ([]buildItem, error) {
	var ended []buildItem
	var errs []error
	for _, r := range v.w.feed.State().Rows {
		list, err := v.w.backend.Builds(r.Target)
		errs = append(errs, err)
		for _, b := range list[max(0, len(list)-endedShown):] {
			ended = append(ended, buildItem{b.ID, b.Target, stateOf(b), moment(b.Started) + ", " + outcomeText(b)})
		}
	}
	slices.SortFunc(ended, func(a, b buildItem) int { return strings.Compare(b.id, a.id) }) // ids begin with their time
	return ended, errors.Join(errs...)
}

func (v *builds) draw(s feed.State) {
	v.items = nil
	for _, b := range s.Builds {
		v.items = append(v.items, buildItem{b.ID, b.Target, backend.Running, progressLine(b)})
	}
	for _, it := range v.ended {
		if !slices.ContainsFunc(s.Builds, func(b feed.Build) bool { return b.ID == it.id }) {
			v.items = append(v.items, it)
		}
	}
	v.list.Refresh()
	if v.one != nil {
		v.one.update(s)
		return
	}
	for i, it := range v.items {
		if (v.want.arg(0) == "" || v.want.arg(0) == it.target) && (v.want.arg(1) == "" || v.want.arg(1) == it.id) {
			v.list.Select(i)
			return
		}
	}
	text := "A build makes a target's kernel and disk, boots the disk and publishes it. Start one from Reality, from Targets, from the menu bar, or with `ingot build`."
	if len(v.items) > 0 {
		text = "Choose a build."
	}
	v.detail.Objects = []fyne.CanvasObject{message("No build is shown", text)}
	v.detail.Refresh()
}

func stateOf(b backend.BuildInfo) backend.State {
	switch b.Outcome {
	case backend.OutcomePassed:
		return backend.Passed
	case backend.OutcomeFailed:
		return backend.Failed
	case backend.OutcomeCancelled:
		return backend.Cancelled
	}
	if b.Live {
		return backend.Running
	}
	return backend.Unknown
}

func outcomeText(b backend.BuildInfo) string {
	switch {
	case b.Outcome != "":
		return string(b.Outcome)
	case b.Live:
		return "runs"
	}
	return "was cut off"
}

// show shows a build.
func (v *builds) show(target, id string) {
	if v.shown == id {
		return
	}
	if v.one != nil {
		v.one.leave()
	}
	v.shown = id
	v.one = newBuildView(v.w, target, id)
	v.detail.Objects = []fyne.CanvasObject{v.one.all}
	v.detail.Refresh()
	v.one.update(v.w.feed.State())
}

// buildView is one build.
type buildView struct {
	w          *Window
	target, id string
	steps      *fyne.Container
	result     *widget.Label
	files      *widget.Select
	paths      []string
	log        *logList
	logs       *fyne.Container
	cancel     *widget.Button
	read       *reading[written]
	top        *fyne.Container
	all        *fyne.Container
}

// written is what a build has written so far.
type written struct {
	events []backend.Event
	logs   []string
	newest int // of logs; -1 for none
}

func newBuildView(w *Window, target, id string) *buildView {
	v := &buildView{w: w, target: target, id: id, steps: container.NewVBox(), result: widget.NewLabel(""), logs: container.NewStack()}
	v.result.Wrapping = fyne.TextWrapWord
	v.result.Selectable = true
	v.cancel = widget.NewButtonWithIcon("Cancel", theme.CancelIcon(), func() {
		w.do(func(ctx context.Context) error { return w.backend.Cancel(ctx, id) }, func(err error) { w.say(err, "build "+id+" is being cancelled") })
	})
	again := widget.NewButtonWithIcon("Build again", theme.ViewRefreshIcon(), func() { w.submit(backend.Submission{Target: target}) })
	head := widget.NewLabel(clean(target) + " · " + id)
	head.TextStyle.Bold = true
	v.files = widget.NewSelect(nil, func(string) { v.open(v.files.SelectedIndex()) })
	v.files.PlaceHolder = "no log yet"
	v.top = container.NewVBox(container.NewBorder(nil, nil, nil, container.NewHBox(v.cancel, again), head), v.steps, v.result, v.files)
	v.all = container.NewBorder(v.top, nil, nil, nil, v.logs)
	v.read = &reading[written]{w: w, read: func(context.Context) (got written, err error) {
		if got.events, err = w.backend.Journal(target, id); err != nil {
			return got, err
		}
		got.logs, err = w.backend.LogFiles(target, id)
		got.newest = newestLog(got.logs)
		return got, err
	}, show: v.draw}
	return v
}

func (v *buildView) leave() {
	v.read.leave()
	v.closeLog()
}

func (v *buildView) closeLog() {
	if v.log != nil {
		v.log.leave()
	}
}

// open shows a log.
func (v *buildView) open(i int) {
	if i < 0 || i >= len(v.paths) || v.log != nil && v.log.file == v.paths[i] {
		return
	}
	v.closeLog()
	_, live := v.active(v.w.feed.State())
	v.log = newLogList(v.w, v.paths[i], live)
	v.logs.Objects = []fyne.CanvasObject{v.log.all}
	v.logs.Refresh()
}

func (v *buildView) active(s feed.State) (feed.Build, bool) {
	for _, b := range s.Builds {
		if b.ID == v.id {
			return b, true
		}
	}
	return feed.Build{}, false
}

func (v *buildView) update(feed.State) { v.read.start() }

func (v *buildView) draw(got written, err error) {
	now, live := v.active(v.w.feed.State())
	if live {
		v.cancel.Enable()
	} else {
		v.cancel.Disable()
	}
	if err != nil && !live { // of one that waits nothing is written yet
		v.result.SetText(clean(err.Error()))
		return
	}
	v.steps.Objects = nil
	for _, st := range timeline(got.events) {
		v.steps.Add(stepRow(st, now))
	}
	v.result.SetText(ending(got.events, live))
	v.pickLog(got, live)
	v.top.Refresh()
	v.all.Refresh() // its parts have other heights now
}

// pickLog offers the logs there are and shows the one that was written last: at
// first, and when another comes while the build runs.
func (v *buildView) pickLog(got written, live bool) {
	if slices.Equal(got.logs, v.paths) {
		return
	}
	v.paths = got.logs
	names := make([]string, len(v.paths))
	for i, p := range v.paths {
		names[i] = filepath.Base(p)
	}
	v.files.SetOptions(names)
	if got.newest >= 0 && (live || v.log == nil) {
		v.files.SetSelectedIndex(got.newest)
	}
}

// newestLog is the place of the log that was written last, -1 where all are
// empty.
func newestLog(paths []string) int {
	at, when := -1, time.Time{}
	for i, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Size() > 0 && info.ModTime().After(when) {
			at, when = i, info.ModTime()
		}
	}
	return at
}

// step is a line of the timeline.
type step struct {
	name, text string
	state      backend.State
	at         time.Time
	took       time.Duration
}

// timeline folds a journal into its steps.
func timeline(events []backend.Event) []step {
	var out []step
	find := func(name string) *step {
		for i := range out {
			if out[i].name == name {
				return &out[i]
			}
		}
		out = append(out, step{name: name})
		return &out[len(out)-1]
	}
	for _, e := range events {
		if e.Step == "" {
			continue
		}
		switch e.Kind {
		case backend.EventStepStarted:
			*find(e.Step) = step{name: e.Step, text: e.Msg, state: backend.Running, at: e.At}
		case backend.EventStepSkipped:
			*find(e.Step) = step{name: e.Step, text: e.Msg, state: backend.Passed}
		case backend.EventStepFinished:
			s := find(e.Step)
			s.took = time.Duration(e.WallMS) * time.Millisecond
			if s.took == 0 && !s.at.IsZero() {
				s.took = e.At.Sub(s.at)
			}
			s.state = map[backend.Outcome]backend.State{backend.OutcomePassed: backend.Passed, backend.OutcomeFailed: backend.Failed, backend.OutcomeCancelled: backend.Cancelled}[e.Outcome]
			if e.Outcome != backend.OutcomePassed {
				s.text = e.Msg
			}
		}
	}
	return out
}

func stepRow(s step, now feed.Build) fyne.CanvasObject {
	name := widget.NewLabel(s.name)
	name.TextStyle.Bold = true
	text := widget.NewLabel(clean(s.text))
	text.Truncation = fyne.TextTruncateEllipsis
	right := widget.NewLabel("")
	if s.took > 0 {
		right.SetText(span(s.took))
	}
	var middle fyne.CanvasObject = text
	if s.state == backend.Running && now.Step == s.name {
		right.SetText(progressLine(now))
		if p, ok := now.Percent(); ok {
			bar := widget.NewProgressBar()
			bar.SetValue(float64(p) / 100)
			middle = bar
		}
	}
	return container.NewBorder(nil, nil, container.NewHBox(widget.NewIcon(icon(s.state)), name), right, middle)
}

// ending says how a build ended: its cause and fix when it failed.
func ending(events []backend.Event, live bool) string {
	if len(events) == 0 {
		return "It waits in the queue."
	}
	last := events[len(events)-1]
	switch {
	case last.Kind != backend.EventBuildFinished && live:
		return ""
	case last.Kind != backend.EventBuildFinished:
		return "It was cut off. The next build of the target goes on from its last finished step."
	case last.Outcome == backend.OutcomePassed:
		return "Passed in " + span(last.At.Sub(events[0].At)) + "."
	}
	text := fmt.Sprintf("%s: %s", last.Outcome, clean(last.Msg))
	if last.Cause != "" {
		text += "\nCause: " + last.Cause
	}
	if last.Fix != "" {
		text += "\nNext: " + last.Fix
	}
	return text
}
