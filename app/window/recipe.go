package window

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
	"github.com/rogpeppe/go-internal/diff"

	"ingot/backend/api"
)

// recipe shows a target's recipe: read, check, copy, build; the user's own is edited in
// its place.
func (w *Window) recipe(name string) fyne.CanvasObject {
	source, written, own, err := w.backend.RecipeSource(name)
	if err != nil {
		return message(name+" cannot be used", err.Error())
	}
	if own {
		return newRecipeEditor(w, name, source, written).all
	}
	file, recipe, err := w.backend.RecipeText(name)
	if err != nil {
		return message(name+" cannot be used", err.Error())
	}
	build := widget.NewButtonWithIcon("Build", theme.MediaPlayIcon(), func() { w.build(api.Submission{Target: name}) })
	build.Importance = widget.HighImportance
	as := widget.NewEntry()
	as.SetPlaceHolder(name + "-mine")
	fork := widget.NewButton("Fork and edit", func() { w.fork(name, as.Text) })
	as.OnSubmitted = func(string) { fork.OnTapped() }
	bar := container.NewBorder(nil, nil, container.NewHBox(build, w.validateButton(name)), fork, as)
	from := widget.NewLabel("from " + clean(file))
	from.Truncation = fyne.TextTruncateEllipsis
	return container.NewBorder(container.NewVBox(bar, from), nil, nil, nil, lines(recipe))
}

// validateButton checks recipe, lock and kernel fragments as they are on the disk.
func (w *Window) validateButton(name string) *widget.Button {
	return widget.NewButton("Validate", func() {
		w.do(func(context.Context) error { return w.backend.Validate(name) }, func(err error) { w.showStatus(err, name+": recipe, lock and kernel fragments are valid") })
	})
}

// recipeEditor edits the file of a target of the user's own. Each pause of typing checks
// the text; only one without mistakes is saved. What was typed and not saved is kept while
// other pages are shown.
type recipeEditor struct {
	w      *Window
	name   string
	text   *widget.Entry
	state  *widget.Label
	save   *widget.Button
	build  *widget.Button
	whole  *fyne.Container // what the text is with everything that it extends
	differ *fyne.Container // from the recipe that it extends
	timer  *time.Timer
	saving bool
	all    fyne.CanvasObject
}

// draft is a recipe's text that is not saved, and the file's text when it was read.
type draft struct{ before, text string }

// typingPause is the time without a key after which a text is checked.
const typingPause = 300 * time.Millisecond

func newRecipeEditor(w *Window, name, file, text string) *recipeEditor {
	e := &recipeEditor{w: w, name: name, text: widget.NewMultiLineEntry(), state: widget.NewLabel(""), whole: container.NewStack(), differ: container.NewStack()}
	if d, ok := w.drafts[name]; !ok || d.text == d.before {
		w.drafts[name] = draft{text, text}
	}
	e.text.TextStyle.Monospace = true
	e.text.Wrapping = fyne.TextWrapOff
	e.text.SetText(w.drafts[name].text)
	e.state.Wrapping, e.state.Selectable = fyne.TextWrapWord, true
	e.save = widget.NewButtonWithIcon("Save", theme.DocumentSaveIcon(), func() { e.store(func() {}) })
	e.save.Importance = widget.HighImportance
	e.build = widget.NewButtonWithIcon("Build", theme.MediaPlayIcon(), func() {
		if e.unsaved() { // what is built is what is seen
			e.store(func() { w.build(api.Submission{Target: name}) })
			return
		}
		w.build(api.Submission{Target: name})
	})
	revert := widget.NewButton("Revert", func() { e.text.SetText(w.drafts[name].before) })
	open := widget.NewButton("Open in editor", func() { w.showStatus(w.desktop.Open(file), "") })
	from := text2(filepath.Base(file))
	bar := container.NewBorder(nil, nil, container.NewHBox(e.save, e.build, w.validateButton(name), revert, open), nil, middle(from))
	tabs := container.NewAppTabs(container.NewTabItem("File", e.text), container.NewTabItem("With all that it extends", e.whole), container.NewTabItem("What it changes", e.differ))
	e.all = container.NewBorder(bar, e.state, nil, nil, tabs)
	e.check()
	e.text.OnChanged = func(now string) {
		d := w.drafts[name]
		d.text = now
		w.drafts[name] = d
		e.save.Disable()
		if e.timer != nil {
			e.timer.Stop()
		}
		e.timer = time.AfterFunc(typingPause, func() { w.main(e.check) })
	}
	return e
}

// text2 is a text of less importance.
func text2(s string) *widget.Label {
	l := text(clean(s), theme.SizeNameCaptionText, false)
	l.Importance = widget.LowImportance
	return l
}

func (e *recipeEditor) unsaved() bool {
	d := e.w.drafts[e.name]
	return d.text != d.before
}

// check checks the text as it is now; what it finds of an older one is not shown.
func (e *recipeEditor) check() {
	if e.w.ctx.Err() != nil {
		return
	}
	text := e.text.Text
	var whole, base string
	e.w.do(func(context.Context) (err error) { whole, base, err = e.w.backend.TryRecipe(e.name, text); return err }, func(err error) {
		if text == e.text.Text {
			e.show(whole, base, err)
		}
	})
}

// show shows what was found of the text.
func (e *recipeEditor) show(whole, base string, err error) {
	e.save.Disable()
	e.build.Enable()
	switch {
	case err != nil:
		e.build.Disable()
		e.state.Importance = widget.DangerImportance
		e.state.SetText(cleanLines(err.Error()))
		whole, base = "", ""
	case e.saving:
		e.state.SetText("Saving…")
	case !e.unsaved():
		e.state.Importance = widget.LowImportance
		e.state.SetText("No mistakes. Nothing has changed since it was saved.")
	default:
		e.state.Importance = widget.SuccessImportance
		e.state.SetText("No mistakes. Save it, then build: a change of packages or of the kernel renews the lock.")
		e.save.Enable()
	}
	changes := string(diff.Diff("extended", []byte(base), e.name, []byte(whole)))
	switch {
	case err != nil:
		whole, changes = "The text has a mistake: see below.", "The text has a mistake: see below."
	case base == "":
		changes = "This recipe extends none."
	case changes == "":
		changes = "Nothing."
	}
	e.whole.Objects = []fyne.CanvasObject{lines(whole)}
	e.differ.Objects = []fyne.CanvasObject{lines(changes)}
	e.whole.Refresh()
	e.differ.Refresh()
}

// store saves the text, and then does more, unless that failed.
func (e *recipeEditor) store(then func()) {
	if e.saving {
		return
	}
	d := e.w.drafts[e.name]
	e.saving = true
	e.save.Disable()
	e.w.do(func(context.Context) error { return e.w.backend.SaveRecipe(e.name, d.before, d.text) }, func(err error) {
		e.saving = false
		if err == nil {
			now := e.w.drafts[e.name]
			e.w.drafts[e.name] = draft{d.text, now.text}
			e.w.feed.Refresh()
			then()
		}
		e.check()
		e.w.showStatus(err, "saved "+e.name)
	})
}

// unsaved are the targets whose recipes have text that is not saved.
func (w *Window) unsaved() (names []string) {
	for name, d := range w.drafts {
		if d.text != d.before {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
