package window

import (
	"context"
	"path/filepath"
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
	_, _, own, err := w.backend.RecipeSource(name)
	if err != nil {
		return message(name+" cannot be used", err.Error())
	}
	if own {
		return newRecipeEditor(w, name).all
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
// the text; only one without mistakes is saved.
type recipeEditor struct {
	w      *Window
	name   string
	before string // the file's text
	text   *widget.Entry
	state  *widget.Label
	save   *widget.Button
	whole  *fyne.Container // what the text is with everything that it extends
	differ *fyne.Container // from the recipe that it extends
	timer  *time.Timer
	all    fyne.CanvasObject
}

// typingPause is the time without a key after which a text is checked.
const typingPause = 300 * time.Millisecond

func newRecipeEditor(w *Window, name string) *recipeEditor {
	e := &recipeEditor{w: w, name: name, text: widget.NewMultiLineEntry(), state: widget.NewLabel(""), whole: container.NewStack(), differ: container.NewStack()}
	file, text, _, err := w.backend.RecipeSource(name)
	if err != nil {
		e.all = message(name+" cannot be read", err.Error())
		return e
	}
	e.before = text
	e.text.TextStyle.Monospace = true
	e.text.Wrapping = fyne.TextWrapOff
	e.text.SetText(text)
	e.state.Wrapping, e.state.Selectable = fyne.TextWrapWord, true
	e.save = widget.NewButtonWithIcon("Save", theme.DocumentSaveIcon(), e.store)
	e.save.Importance = widget.HighImportance
	build := widget.NewButtonWithIcon("Build", theme.MediaPlayIcon(), func() { w.build(api.Submission{Target: name}) })
	open := widget.NewButton("Open in editor", func() { w.showStatus(w.desktop.Open(file), "") })
	from := text2(filepath.Base(file))
	bar := container.NewBorder(nil, nil, container.NewHBox(e.save, build, w.validateButton(name), open), nil, middle(from))
	tabs := container.NewAppTabs(container.NewTabItem("File", e.text), container.NewTabItem("With all that it extends", e.whole), container.NewTabItem("What it changes", e.differ))
	e.all = container.NewBorder(bar, e.state, nil, nil, tabs)
	e.check()
	e.text.OnChanged = func(string) {
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

// check checks the text as it is now.
func (e *recipeEditor) check() {
	if e.w.ctx.Err() != nil {
		return
	}
	whole, err := e.w.backend.TryRecipe(e.name, e.text.Text)
	e.save.Disable()
	switch {
	case err != nil:
		e.state.Importance = widget.DangerImportance
		e.state.SetText(cleanLines(err.Error()))
		return
	case e.text.Text == e.before:
		e.state.Importance = widget.LowImportance
		e.state.SetText("No mistakes. Nothing has changed since it was saved.")
	default:
		e.state.Importance = widget.SuccessImportance
		e.state.SetText("No mistakes. Save it, then build: a change of packages or of the kernel renews the lock.")
		e.save.Enable()
	}
	base, berr := e.w.backend.BaseText(e.name)
	changes := string(diff.Diff("extended", []byte(base), e.name, []byte(whole)))
	switch {
	case berr != nil:
		changes = berr.Error()
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

// store saves the text.
func (e *recipeEditor) store() {
	before, text := e.before, e.text.Text
	e.save.Disable()
	e.w.do(func(ctx context.Context) error { return e.w.backend.SaveRecipe(ctx, e.name, before, text) }, func(err error) {
		if err == nil {
			e.before = text
			e.w.feed.Refresh()
		}
		e.check()
		e.w.showStatus(err, "saved "+e.name)
	})
}
