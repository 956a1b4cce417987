package window

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/app/look"
	"ingot/backend/api"
)

// trouble is what failed: the same card shows it on every page.
type trouble struct {
	target     string
	what       string // the first line, such as "The step prove failed"
	message    string
	cause, fix string // the fix is that of the message; "" is the cause's
	found      api.Finding
	known      bool // found describes the cause
}

// troubleOf adds what is known of the cause.
func (w *Window) troubleOf(t trouble) trouble {
	if t.cause != "" {
		t.found, t.known = w.backend.Describe(t.cause)
	}
	return t
}

// means returns what the failure means, in words.
func (t trouble) means() string {
	if t.known && t.found.Means != "" {
		return sentence(t.found.Means)
	}
	return ""
}

// next returns what to do.
func (t trouble) next() string {
	if t.fix != "" {
		return sentence(t.fix)
	}
	if t.known {
		return sentence(t.found.Fix)
	}
	return ""
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(cleanLines(s))
	if s == "" {
		return ""
	}
	first, rest := s[:1], s[1:]
	if first[0] < 0x80 {
		first = strings.ToUpper(first)
	}
	s = first + rest
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "`") || strings.HasSuffix(s, "/") {
		return s
	}
	return s + "."
}

// report is the failure as text, to be copied.
func (t trouble) report() string {
	lines := []string{"Ingot: " + t.target + ": " + t.what, t.message}
	if t.cause != "" {
		lines = append(lines, "cause: "+t.cause)
	}
	for _, s := range []string{t.means(), t.next()} {
		if s != "" {
			lines = append(lines, s)
		}
	}
	return strings.Join(lines, "\n")
}

// action is a button of a failure.
type action struct {
	label string
	do    func()
}

// actions returns what Ingot can do about the failure, the best first.
func (w *Window) actions(t trouble) (list []action) {
	add := func(label string, do func()) { list = append(list, action{label, do}) }
	begins := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(t.cause, p) {
				return true
			}
		}
		return false
	}
	switch {
	case begins("guest.tool-missing", "host.", "qemu.missing", "lima.missing", "lima.too-old"):
		add("Install what is missing…", func() { w.Go(Route{Page: pageSettings}) })
	case begins("lock."):
		add("Renew the lock and build", func() { w.build(api.Submission{Target: t.target, Renew: true}) })
	case begins("config."):
		add("Open the recipe", func() { w.Go(Route{pageTargets, []string{t.target}}) })
	case begins("publish.", "store."):
		add("Set up publishing…", func() { w.Go(Route{Page: pageSettings}) })
	case begins("vm.must-stop", "lima."):
		add("Show VMs", func() { w.Go(Route{Page: app.RouteVMs}) })
	}
	add("Try again", func() { w.build(api.Submission{Target: t.target}) })
	return list
}

// failureCard shows a failure: what happened, why Ingot thinks so, what to do, and the
// buttons for it.
func (w *Window) failureCard(t trouble) fyne.CanvasObject {
	head := container.NewBorder(nil, nil, container.NewCenter(pill(api.Failed, "Failed")), nil, text(clean(t.what), theme.SizeNameSubHeadingText, true))
	body := container.NewVBox(head)
	part := func(name, s string) {
		if s == "" {
			return
		}
		rich := widget.NewRichText(&widget.TextSegment{Text: name + " ", Style: widget.RichTextStyle{Inline: true, TextStyle: fyne.TextStyle{Bold: true}}}, &widget.TextSegment{Text: s})
		rich.Wrapping = fyne.TextWrapWord
		body.Add(rich)
	}
	part("What happened.", t.means())
	if t.message != "" {
		line := widget.NewLabel(cleanLines(t.message))
		line.Wrapping, line.Selectable, line.TextStyle.Monospace = fyne.TextWrapWord, true, true
		line.SizeName = theme.SizeNameCaptionText
		body.Add(container.NewStack(newBlock(look.Raised, "", 8), line))
	}
	part("What to do.", t.next())
	bar := container.NewHBox()
	for i, a := range w.actions(t) {
		b := widget.NewButton(a.label, a.do)
		if i == 0 {
			b.Importance = widget.HighImportance
		}
		bar.Add(b)
	}
	report := widget.NewButton("Copy report", func() {
		fyne.CurrentApp().Clipboard().SetContent(t.report())
		w.showStatus(nil, "the report is in the clipboard")
	})
	report.Importance = widget.LowImportance
	bar.Add(report)
	if t.cause != "" {
		id := text(t.cause, theme.SizeNameCaptionText, false)
		id.Importance, id.Alignment = widget.LowImportance, fyne.TextAlignTrailing
		body.Add(container.NewBorder(nil, nil, bar, nil, id))
	} else {
		body.Add(bar)
	}
	return panel(look.Bad, body)
}
