package window

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/api"
)

// targets shows the recipes: read, check, fork, build.
type targets struct {
	w      *Window
	want   string
	rows   []api.Row
	list   *widget.List
	shown  string
	detail *fyne.Container
	all    fyne.CanvasObject
}

func newTargets(w *Window, r Route) view {
	v := &targets{w: w, want: r.arg(0), detail: container.NewStack(message("Select a target", "A target is a recipe for one system, release and architecture. Make a version of your own with Fork."))}
	v.list = widget.NewList(func() int { return len(v.rows) }, func() fyne.CanvasObject {
		name, text := widget.NewLabel(""), widget.NewLabel("")
		name.TextStyle.Bold = true
		name.Truncation, text.Truncation = fyne.TextTruncateEllipsis, fyne.TextTruncateEllipsis
		return container.NewVBox(name, text)
	}, func(i widget.ListItemID, o fyne.CanvasObject) {
		parts := o.(*fyne.Container).Objects
		parts[0].(*widget.Label).SetText(clean(v.rows[i].Target))
		text := v.rows[i].Title + " · boots: " + v.rows[i].Boots.State.String()
		if c := v.rows[i].Configured; c.State == api.Failed || c.State == api.Stale {
			text = c.Message
		}
		parts[1].(*widget.Label).SetText(clean(text))
	})
	v.list.OnSelected = func(i widget.ListItemID) {
		if i < len(v.rows) {
			v.show(v.rows[i].Target)
		}
	}
	split := container.NewHSplit(v.list, v.detail)
	split.Offset = 0.32
	v.all = split
	return v
}

func (v *targets) object() fyne.CanvasObject { return v.all }
func (v *targets) leave()                    {}

func (v *targets) update(s feed.State) {
	v.rows = s.Rows
	v.list.Refresh()
	if v.shown != "" {
		return
	}
	for i, r := range v.rows {
		if r.Target == v.want {
			v.list.Select(i)
		}
	}
}

func (v *targets) show(name string) {
	v.shown = name
	v.set(v.w.recipe(name))
}

func (v *targets) set(o fyne.CanvasObject) {
	v.detail.Objects = []fyne.CanvasObject{o}
	v.detail.Refresh()
}

// fork writes a recipe of the user's own and shows it, to be edited.
func (w *Window) fork(name, as string) {
	if as == "" {
		as = name + "-mine"
	}
	var file string
	asking := w.view
	w.do(func(ctx context.Context) (err error) { file, err = w.backend.Fork(ctx, name, as); return err }, func(err error) {
		w.feed.Refresh()
		if err == nil && w.view == asking {
			w.Go(Route{pageTarget, []string{as, tabRecipe}})
		}
		w.showStatus(err, "made "+file)
	})
}
