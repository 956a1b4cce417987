package window

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/app/look"
	"ingot/backend/api"
	"ingot/backend/status"
)

// checkPage takes images, logs and addresses of any origin: an image is booted, a release
// is verified and booted, a log is explained. A check goes on when the page is left; its
// row stays, and checks of earlier days are listed below.
type checkPage struct {
	w       *Window
	cards   *fyne.Container
	earlier []api.Document
	read    *reading[[]api.Document]
	all     fyne.CanvasObject
}

// check is one file, log or address that is looked at, or was since the window opened.
type check struct {
	name     string // of the file
	state    api.State
	word     string // the state for a person
	line     string // how far it is, or the result
	more     string // what a log means, and what to do
	evidence string // id; "" is none
	fix      func() // shows the fixes that Ingot can write; nil is none
	began    time.Time
	stop     context.CancelFunc
	shown    *widget.Label // the line, where the page is shown
}

func newCheckPage(w *Window, _ Route) view {
	v := &checkPage{w: w, cards: container.NewVBox()}
	head := text("Check an image", theme.SizeNameHeadingText, true)
	head.Truncation = fyne.TextTruncateOff
	second := text("of anyone's: does it boot, and why not?", theme.SizeNameCaptionText, false)
	second.Importance = widget.LowImportance
	v.all = container.NewBorder(container.NewVBox(container.NewBorder(nil, nil, head, nil, middle(second)), v.dropZone()), nil, nil, nil, container.NewVScroll(container.NewPadded(v.cards)))
	v.read = &reading[[]api.Document]{w: w, read: w.backend.Checks, show: func(list []api.Document, err error) {
		if err != nil {
			w.showStatus(err, "")
		}
		v.earlier = list
		v.draw()
	}}
	v.draw()
	v.read.start()
	return v
}

func (v *checkPage) object() fyne.CanvasObject { return v.all }
func (v *checkPage) update(feed.State)         {}
func (v *checkPage) leave()                    { v.read.leave() }

// dropZone is where files are dropped, with other ways to give one.
func (v *checkPage) dropZone() fyne.CanvasObject {
	w := v.w
	choose := widget.NewButton("Choose a file…", func() {
		d := dialog.NewFileOpen(func(f fyne.URIReadCloser, err error) {
			if err == nil && f != nil {
				_ = f.Close()
				w.Check(f.URI().Path())
			}
		}, w.Window)
		d.Show()
	})
	choose.Importance = widget.HighImportance
	address := widget.NewButton("From a web address…", func() { v.askAddress() })
	paste := widget.NewButton("Paste a log", func() {
		w.explainText("a pasted log", fyne.CurrentApp().Clipboard().Content())
	})
	line := text("Drop a qcow2 or raw image, a boot log, QEMU's messages, a Packer template or a Lima folder here", theme.SizeNameText, true)
	hint := text("Your file is opened read-only and is never changed.", theme.SizeNameCaptionText, false)
	line.Alignment, hint.Alignment, hint.Importance = fyne.TextAlignCenter, fyne.TextAlignCenter, widget.LowImportance
	return container.NewPadded(panel(theme.ColorNamePrimary, container.NewVBox(container.New(linesLayout{}, line, hint), container.NewCenter(container.NewHBox(choose, address, paste)))))
}

// askAddress asks for the address of a published release.
func (v *checkPage) askAddress() {
	entry := widget.NewEntry()
	entry.SetPlaceHolder("https://…/debian/12/arm64/20261124-1408/ or github:OWNER/REPO@TAG")
	key := widget.NewEntry()
	key.SetPlaceHolder("a file; empty: releases of this home")
	form := widget.NewForm(widget.NewFormItem("Address", entry), widget.NewFormItem("Publisher's key", key))
	d := dialog.NewCustomConfirm("Check a published image", "Check", "Cancel", form, func(yes bool) {
		if address := strings.TrimSpace(entry.Text); yes && address != "" {
			v.w.checkAddress(address, strings.TrimSpace(key.Text))
		}
	}, v.w.Window)
	d.Resize(fyne.NewSize(680, 200))
	d.Show()
	v.w.Canvas().Focus(entry)
}

// draw shows the checks of this window, then the earlier ones.
func (v *checkPage) draw() {
	v.cards.Objects = nil
	var have []string
	for _, c := range v.w.checks {
		v.cards.Add(v.card(c))
		have = append(have, c.evidence)
	}
	for _, d := range slices.Backward(v.earlier) {
		if !slices.Contains(have, d.ID) {
			v.cards.Add(v.card(earlierCheck(d)))
		}
	}
	v.cards.Refresh()
}

// earlierCheck is a check by its evidence.
func earlierCheck(d api.Document) *check {
	c := &check{name: d.Subject().Name, evidence: d.ID, line: formatTime(d.Head.At), state: api.Failed, word: "Does not boot"}
	switch {
	case d.Unbelievable():
		c.word, c.line = "Not trusted", d.Problem
	case api.Signed(d) && d.Head.Verdict == "passed":
		c.state, c.word, c.line = api.Passed, "Boots", "signed · "+c.line
	case d.Head.Verdict == "cancelled":
		c.state, c.word = api.Cancelled, "Stopped"
	default:
		c.line += " · " + d.Head.Message
	}
	return c
}

func (v *checkPage) card(c *check) fyne.CanvasObject {
	w := v.w
	line := text(clean(c.line), theme.SizeNameCaptionText, false)
	line.Importance = widget.LowImportance
	c.shown = line
	bar := container.NewHBox()
	if c.stop != nil && c.state == api.Running {
		bar.Add(widget.NewButton("Stop", func() { c.stop() }))
	}
	if c.fix != nil {
		fix := widget.NewButton("Show the fixes…", c.fix)
		fix.Importance = widget.HighImportance
		bar.Add(fix)
	}
	if c.evidence != "" {
		label := "Evidence"
		if c.state == api.Failed {
			label = "See why"
		}
		bar.Add(widget.NewButton(label, func() { w.Go(Route{pageEvidence, []string{c.evidence}}) }))
	}
	stroke := look.Stroke
	if c.state == api.Failed {
		stroke = look.Bad
	}
	head := container.NewBorder(nil, nil, container.NewCenter(pill(c.state, c.word)), container.NewCenter(bar), container.New(linesLayout{}, text(clean(c.name), theme.SizeNameText, true), line))
	if c.more == "" {
		return panel(stroke, head)
	}
	more := widget.NewLabel(cleanLines(c.more))
	more.Wrapping, more.Selectable, more.SizeName = fyne.TextWrapWord, true, theme.SizeNameCaptionText
	return panel(stroke, container.NewVBox(head, container.NewStack(newBlock(look.Raised, "", 8), more)))
}

// changed draws the page, if it is shown.
func (w *Window) checksChanged() {
	if v, ok := w.view.(*checkPage); ok {
		v.draw()
	}
}

// mostChecks bounds the rows of checks that have ended.
const mostChecks = 100

// begin adds a check and shows the page.
func (w *Window) begin(c *check) *check {
	c.began = time.Now()
	w.checks = append([]*check{c}, w.checks...)
	if len(w.checks) > mostChecks {
		w.checks = w.checks[:mostChecks]
	}
	if _, ok := w.view.(*checkPage); !ok {
		w.Go(Route{Page: pageCheck})
	}
	w.checksChanged()
	return c
}

// end sets the result of a check.
func (w *Window) end(c *check, s api.State, word, line string) {
	c.state, c.word, c.line, c.stop = s, word, line, nil
	w.checksChanged()
}

// Check checks a file or folder, as if it was dropped on the window.
func (w *Window) Check(file string) {
	name := filepath.Base(file)
	c := w.begin(&check{name: name, state: api.Running, word: "Reading"})
	var what kind
	w.do(func(context.Context) (err error) { what, err = kindOf(file); return err }, func(err error) {
		switch {
		case err != nil:
			w.end(c, api.Failed, "Not read", err.Error())
		case what == aTemplate:
			w.diagnose(c, file)
		case what == aLog:
			w.explainFile(c, file)
		default:
			w.run(c, "Booting", func(ctx context.Context, note func(string)) (string, error) {
				return w.backend.Prove(ctx, file, note)
			})
		}
	})
}

// kind is what a file is taken for.
type kind int

const (
	anImage kind = iota
	aLog         // or a folder or archive of logs
	aTemplate
)

// kindOf tells by name and first bytes what a file is. It may block, as a file of a
// network does.
func kindOf(file string) (kind, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return anImage, err
	case isTemplate(file, info):
		return aTemplate, nil
	case info.IsDir():
		return aLog, nil
	case !info.Mode().IsRegular():
		return anImage, fmt.Errorf("%s is neither a file nor a folder", file)
	}
	text, err := readsAsText(file)
	if text {
		return aLog, err
	}
	return anImage, err
}

// dropped receives files from the desktop.
func (w *Window) dropped(uris []fyne.URI) {
	for _, u := range uris {
		if u.Scheme() != "file" {
			w.end(w.begin(&check{name: u.String()}), api.Failed, "Not read", "it is not a file on this computer: use From a web address…")
			continue
		}
		w.Check(u.Path())
	}
}

// checkAddress verifies a published release, and boots its disk.
func (w *Window) checkAddress(address, keyFile string) {
	c := w.begin(&check{name: address, state: api.Running, word: "Checking"})
	w.run(c, "Checking", func(ctx context.Context, note func(string)) (string, error) {
		return w.backend.Verify(ctx, address, keyFile, note)
	})
}

// run boots something in the background. The row shows its last note.
func (w *Window) run(c *check, word string, work func(ctx context.Context, note func(string)) (string, error)) {
	ctx, stop := context.WithCancel(w.ctx)
	c.word, c.line, c.stop = word, "begins; without hardware virtualisation a boot takes minutes", stop
	w.checksChanged()
	note := func(s string) {
		w.main(func() {
			if c.state == api.Running && w.ctx.Err() == nil {
				c.line = s
				if c.shown != nil { // not a new row: its buttons are pressed meanwhile
					c.shown.SetText(clean(s))
				}
			}
		})
	}
	var id string
	w.do(func(context.Context) (err error) {
		defer stop()
		id, err = work(ctx, note)
		return err
	}, func(err error) {
		c.evidence = id
		took := formatDuration(time.Since(c.began).Round(time.Second))
		switch {
		case err == nil:
			w.end(c, api.Passed, "Boots", "it boots · "+took)
		case errors.Is(err, context.Canceled):
			w.end(c, api.Cancelled, "Stopped", "stopped after "+took)
		default:
			line := err.Error()
			if cause, fix := api.Advice(err); cause != "" {
				c.more = line + "\nWhat to do: " + fix
			}
			w.end(c, api.Failed, "Failed", line)
		}
	})
}

// explainFile explains a log, a folder of logs or an archive of them.
func (w *Window) explainFile(c *check, file string) {
	var e status.Explanation
	w.do(func(context.Context) (err error) { e, err = w.backend.ExplainFile(file); return err }, func(err error) { w.explained(c, e, err) })
}

// pasteLimit is the number of bytes at the end of a pasted log that are read.
const pasteLimit = 32 << 20

// explainText explains a log that was pasted.
func (w *Window) explainText(name, log string) {
	c := w.begin(&check{name: name, state: api.Running, word: "Reading"})
	if strings.TrimSpace(log) == "" {
		w.end(c, api.Failed, "Not read", "the clipboard has no text")
		return
	}
	if len(log) > pasteLimit {
		log = log[len(log)-pasteLimit:]
	}
	var e status.Explanation
	w.do(func(context.Context) (err error) { e, err = w.backend.Explain(log); return err }, func(err error) { w.explained(c, e, err) })
}

func (w *Window) explained(c *check, e status.Explanation, err error) {
	switch {
	case err != nil:
		w.end(c, api.Failed, "Not read", err.Error())
	case e.Fix == "":
		w.end(c, api.Unknown, "Log read", e.ID+": no known cause was found in it")
	default:
		c.more = fmt.Sprintf("%s\n%s: %s\nWhat to do: %s", e.Line, e.ID, e.Means, e.Fix)
		w.end(c, api.Stale, "Cause found", title(e.Means))
	}
}

// readsAsText tells a log from an image by its first bytes.
func readsAsText(file string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	switch {
	case errors.Is(err, io.EOF):
		return false, fmt.Errorf("%s is empty", file)
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return false, err
	}
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) || bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return packedLog.MatchString(file), nil // else it may be a packed image, which is refused with what to do
	}
	return bytes.IndexByte(head[:n], 0) < 0 && !bytes.HasPrefix(head, []byte("QFI\xfb")), nil // qcow2's magic
}

// packedLog matches names of packed logs and of archives of them.
var packedLog = regexp.MustCompile(`(?i)(log|txt|tar|support[^/]*)\.(gz|zip)$|\.tgz$|(log|support)[^/]*\.zip$`)
