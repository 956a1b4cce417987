package window

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/png" // screenshots
	"os"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend/api"
)

// evidence shows a document of the ledger: its content, whether it can be
// trusted, and the boots of a proof with their logs.
type evidence struct {
	w    *Window
	all  *fyne.Container
	logs []*logList
}

func newEvidence(w *Window, r Route) view {
	v := &evidence{w: w, all: container.NewStack(widget.NewLabel("Reading…"))}
	var d api.Document
	w.do(func(ctx context.Context) (err error) {
		d, err = w.backend.Evidence(ctx, r.arg(0))
		return err
	}, func(err error) {
		if err != nil {
			v.show(message("No such evidence", err.Error()))
			return
		}
		v.show(v.document(d))
	})
	return v
}

func (v *evidence) object() fyne.CanvasObject { return v.all }
func (v *evidence) update(feed.State)         {}

func (v *evidence) leave() {
	for _, l := range v.logs {
		l.leave()
	}
}

func (v *evidence) show(o fyne.CanvasObject) {
	v.all.Objects = []fyne.CanvasObject{o}
	v.all.Refresh()
}

// message returns a page with a title and a text.
func message(title, text string) fyne.CanvasObject {
	head := widget.NewLabel(title)
	head.TextStyle.Bold = true
	body := widget.NewLabel(cleanLines(text))
	body.Wrapping = fyne.TextWrapWord
	return container.NewVBox(head, body)
}

func (v *evidence) document(d api.Document) fyne.CanvasObject {
	tabs := container.NewAppTabs(container.NewTabItem("Content", container.NewVScroll(v.facts(d))))
	if d.Head.Kind == api.KindProof {
		var p api.Proof
		if err := d.Decode(&p); err == nil {
			for _, b := range p.Boots {
				tabs.Append(container.NewTabItem("Boot "+clean(b.Name), v.boot(d, b)))
			}
		}
	}
	var text bytes.Buffer
	if json.Indent(&text, d.Statement.Predicate, "", "  ") == nil {
		tabs.Append(container.NewTabItem("Document", lines(text.String())))
	}
	back := widget.NewButtonWithIcon("All cells", theme.NavigateBackIcon(), func() { v.w.Go(Route{pageReality, []string{d.Head.Target}}) })
	return container.NewBorder(container.NewHBox(back, evidenceTitle(d)), nil, nil, nil, tabs)
}

func evidenceTitle(d api.Document) fyne.CanvasObject {
	state := api.Unknown
	switch {
	case d.Unbelievable():
		state = api.Failed
	case api.Signed(d) && d.Head.Verdict == "passed":
		state = api.Passed
	case d.Head.Verdict == "failed":
		state = api.Failed
	case d.Head.Verdict == "cancelled":
		state = api.Cancelled
	}
	l := widget.NewLabel(string(d.Head.Kind) + " of " + clean(d.Head.Target) + ": " + string(d.Head.Verdict))
	l.TextStyle.Bold = true
	return container.NewHBox(widget.NewIcon(icon(state)), l)
}

// facts shows the fields of every document, and the plain fields of its kind.
func (v *evidence) facts(d api.Document) fyne.CanvasObject {
	form := widget.NewForm()
	add := func(name, value string) {
		if value == "" {
			return
		}
		l := widget.NewLabel(clean(value))
		l.Wrapping = fyne.TextWrapBreak
		l.Selectable = true
		form.Append(name, l)
	}
	trust := "unsigned: failures are recorded without a signature"
	switch {
	case d.Unbelievable():
		trust = "not trusted: " + d.Problem
	case api.Signed(d):
		trust = "signed by key " + d.KeyID
	}
	add("id", d.ID)
	add("signature", trust)
	add("build", d.Head.Build)
	add("at", formatTime(d.Head.At))
	add("subject", d.Subject().Name)
	add("SHA-256", d.Subject().SHA256())
	if d.Head.Cause != "" {
		add("cause", why(v.w.backend, api.Cell{Cause: d.Head.Cause, Message: d.Head.Message}))
	}
	var own map[string]any
	if json.Unmarshal(d.Statement.Predicate, &own) == nil {
		for _, name := range plainFields {
			if value, ok := own[name]; ok {
				add(name, fmt.Sprint(value))
			}
		}
	}
	show := widget.NewButtonWithIcon("Show in folder", theme.FolderOpenIcon(), func() { v.w.showStatus(v.w.desktop.Reveal(d.Path), "") })
	form.Append("file", container.NewHBox(show))
	return form
}

// plainFields are the fields of a kind that are shown in one line each, in this
// order.
var plainFields = []string{"proven", "kernelRelease", "kernelBuildId", "release", "buildId", "compiler", "source", "name", "format", "distro", "kernel", "cpus", "url", "disk", "version", "anonymous", "local", "digestAfter"}

// boot shows one boot: phases, command, log, screenshot.
func (v *evidence) boot(d api.Document, b api.Boot) fyne.CanvasObject {
	tabs := container.NewAppTabs()
	file, err := v.w.backend.BuildFile(d, b.Serial)
	if err != nil {
		tabs.Append(container.NewTabItem("Serial log", message("Serial log", err.Error())))
	} else {
		l := newLogList(v.w, file, false, b.Phases...)
		v.logs = append(v.logs, l)
		tabs.Append(container.NewTabItem("Serial log", l.all))
	}
	tabs.Append(container.NewTabItem("Phases", lines(phases(b))))
	tabs.Append(container.NewTabItem("Command", lines(strings.Join(b.Argv, " \\\n  "))))
	if b.Screenshot != nil {
		tabs.Append(container.NewTabItem("Screenshot", v.screenshot(d, *b.Screenshot)))
	}
	return tabs
}

func phases(b api.Boot) string {
	var s strings.Builder
	fmt.Fprintf(&s, "verdict      %s %s\naccelerator  %s\nqemu         %s\nfirmware     %s\n", b.Verdict, b.Cause, b.Accelerator, b.QEMU, b.Firmware)
	for _, t := range b.Tried {
		fmt.Fprintf(&s, "tried        %s\n", t)
	}
	s.WriteString("\n")
	for _, p := range b.Phases {
		fmt.Fprintf(&s, "%8.1f s  %-14s %s\n", p.Seconds, p.Name, p.Line)
	}
	s.WriteString("\n")
	for _, c := range b.Checks {
		fmt.Fprintf(&s, "%8.1f s  %-14s %s %s\n", c.Seconds, c.Name, c.Verdict, c.Detail)
	}
	return s.String()
}

func (v *evidence) screenshot(d api.Document, f api.File) fyne.CanvasObject {
	path, err := v.w.backend.BuildFile(d, f)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return message("Screenshot", err.Error())
	}
	img, err := decodeImage(path)
	if err != nil {
		return message("Screenshot", err.Error())
	}
	c := canvas.NewImageFromImage(img)
	c.FillMode = canvas.ImageFillContain
	return c
}

func decodeImage(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	return img, err
}

// lines shows a fixed text of any length.
func lines(text string) fyne.CanvasObject {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	l := widget.NewList(func() int { return len(all) }, newLogLine, func(i widget.ListItemID, o fyne.CanvasObject) {
		setLogLine(o, clean(all[i]), theme.ColorNameForeground)
	})
	l.HideSeparators = true
	copyAll := widget.NewButtonWithIcon("Copy", theme.ContentCopyIcon(), func() { fyne.CurrentApp().Clipboard().SetContent(text) })
	return container.NewBorder(nil, container.NewHBox(copyAll), nil, nil, l)
}
