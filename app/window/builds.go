package window

import (
	"context"
	"errors"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/api"
	"ingot/backend/status"
)

// builds lists running, waiting and ended builds, and shows one of them: its
// steps, its logs, and why it failed.
type builds struct {
	w      *Window
	want   Route // the requested build
	list   *widget.List
	items  []buildItem // running and waiting builds, then ended ones
	ended  []buildItem
	known  []api.Row // the rows when the ended builds were read
	read   *reading[[]buildItem]
	shown  string // id
	detail *fyne.Container
	one    *buildView
	all    fyne.CanvasObject
}

// buildItem is a line of the list.
type buildItem struct {
	id, target string
	state      api.State
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
			w.showStatus(err, "")
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

// endedShown is the number of ended builds listed per target.
const endedShown = 10

// update draws the active builds. If a row has changed, it reads the ended
// builds again, since there may be a new one.
func (v *builds) update(s feed.State) {
	if !slices.EqualFunc(v.known, s.Rows, api.Row.Equal) {
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
			ended = append(ended, buildItem{b.ID, b.Target, stateOf(b), formatTime(b.Started) + ", " + outcomeText(b)})
		}
	}
	slices.SortFunc(ended, func(a, b buildItem) int { return strings.Compare(b.id, a.id) }) // ids start with their time
	return ended, errors.Join(errs...)
}

func (v *builds) draw(s feed.State) {
	v.items = nil
	for _, b := range s.Builds {
		v.items = append(v.items, buildItem{b.ID, b.Target, api.Running, progressLine(b)})
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
	text := "A build makes a target's kernel and disk, boots the disk and publishes it. Start one from Home, from the menu bar, or with `ingot build`."
	if len(v.items) > 0 {
		text = "Select a build."
	}
	v.detail.Objects = []fyne.CanvasObject{message("No build is shown", text)}
	v.detail.Refresh()
}

func stateOf(b status.BuildInfo) api.State {
	if b.Outcome == "" && b.Live {
		return api.Running
	}
	return outcomes[b.Outcome]
}

func outcomeText(b status.BuildInfo) string {
	switch {
	case b.Outcome != "":
		return string(b.Outcome)
	case b.Live:
		return "runs"
	}
	return "was interrupted"
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
