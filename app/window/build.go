package window

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/api"
)

// buildView shows one build.
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
	stopping   bool // its cancellation was asked for
	failure    *fyne.Container
	shown      trouble // by failure
	read       *reading[written]
	top        *fyne.Container
	all        *fyne.Container
}

// written is what a build has written so far.
type written struct {
	events []api.Event
	logs   []string
	newest int // index in logs of the log written last; -1 if there is none
}

func newBuildView(w *Window, target, id string) *buildView {
	v := &buildView{w: w, target: target, id: id, steps: container.NewVBox(), failure: container.NewVBox(), result: widget.NewLabel(""), logs: container.NewStack()}
	v.result.Wrapping = fyne.TextWrapWord
	v.result.Selectable = true
	v.cancel = widget.NewButtonWithIcon("Cancel", theme.CancelIcon(), func() {
		v.cancel.Disable()
		v.cancel.SetText("Cancelling…")
		v.stopping = true
		w.do(func(ctx context.Context) error { return w.backend.Cancel(ctx, id) }, func(err error) {
			if err != nil {
				v.stopping = false
				v.cancel.SetText("Cancel")
			}
			w.showStatus(err, "build "+id+" is being cancelled")
		})
	})
	again := widget.NewButtonWithIcon("Build again", theme.ViewRefreshIcon(), func() { w.submit(api.Submission{Target: target}) })
	head := widget.NewLabel(clean(target) + " · " + id)
	head.TextStyle.Bold = true
	v.files = widget.NewSelect(nil, func(string) { v.open(v.files.SelectedIndex()) })
	v.files.PlaceHolder = "no log yet"
	v.top = container.NewVBox(container.NewBorder(nil, nil, nil, container.NewHBox(v.cancel, again), head), v.steps, v.failure, v.result, v.files)
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
	if live && !v.stopping {
		v.cancel.Enable()
	} else {
		v.cancel.Disable()
	}
	if !live && v.stopping {
		v.stopping = false
		v.cancel.SetText("Cancel")
	}
	if err != nil && !live { // a waiting build has written nothing
		v.result.SetText(clean(err.Error()))
		return
	}
	list := timeline(got.events)
	v.steps.Objects = []fyne.CanvasObject{pipeline(stationsOf(list, now))}
	for _, st := range list {
		if st.text != "" && (st.state == api.Running || st.state == api.Passed && st.took == 0) {
			why := text(st.name+": "+clean(st.text), theme.SizeNameCaptionText, false)
			why.Importance = widget.LowImportance
			v.steps.Add(why)
		}
	}
	end := ending(got.events, live)
	t, failed := v.w.troubleIn(v.target, got.events)
	if t != v.shown { // do not replace a button below the pointer
		v.failure.Objects, v.shown = nil, t
		if failed {
			v.failure.Add(v.w.failureCard(t))
		}
	}
	if failed {
		end = ""
	}
	v.result.SetText(end)
	v.result.Hidden = end == ""
	v.pickLog(got, live)
	v.top.Refresh()
	v.all.Refresh() // the heights of its parts have changed
}

// pickLog fills the selection of logs. It shows the log written last, the first
// time and, while the build is running, whenever another one becomes the last.
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

// newestLog returns the index of the log written last, or -1 if all are empty.
func newestLog(paths []string) int {
	at, when := -1, time.Time{}
	for i, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Size() > 0 && info.ModTime().After(when) {
			at, when = i, info.ModTime()
		}
	}
	return at
}
