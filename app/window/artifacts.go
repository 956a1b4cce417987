package window

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

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

// artifacts shows the images: files that builds have made, as cards that can be dragged
// out.
type artifacts struct {
	w     *Window
	want  string
	head  *widget.Label
	cards *fyne.Container
	have  []status.ArtifactInfo
	rows  []api.Row // when the cards were drawn
	open  string    // digest of the card with details; "" is the first
	drawn bool
	read  *reading[[]status.ArtifactInfo]
	all   fyne.CanvasObject
}

func newArtifacts(w *Window, r Route) view {
	v := &artifacts{w: w, want: r.arg(0), cards: container.NewVBox(), head: text("", theme.SizeNameCaptionText, false)}
	v.head.Importance = widget.LowImportance
	title := text("Images", theme.SizeNameHeadingText, true)
	title.Truncation = fyne.TextTruncateOff
	bar := container.NewBorder(nil, nil, title, nil, middle(v.head))
	if v.want != "" {
		every := widget.NewButton("All images", func() { w.Go(Route{Page: pageArtifacts}) })
		bar = container.NewBorder(nil, nil, title, container.NewCenter(every), middle(v.head))
	}
	v.all = container.NewBorder(bar, nil, nil, nil, container.NewVScroll(container.NewPadded(v.cards)))
	v.read = &reading[[]status.ArtifactInfo]{w: w, read: w.backend.Artifacts, show: func(have []status.ArtifactInfo, err error) {
		if err != nil {
			w.showStatus(err, "")
			return
		}
		v.draw(have)
	}}
	return v
}

func (v *artifacts) object() fyne.CanvasObject { return v.all }
func (v *artifacts) leave()                    { v.read.leave() }

// update reads the artifacts again; cached digests make that fast.
func (v *artifacts) update(feed.State) { v.read.start() }

func (v *artifacts) draw(have []status.ArtifactInfo) {
	state := v.w.feed.State()
	if v.drawn && slices.Equal(v.have, have) && slices.EqualFunc(v.rows, state.Rows, api.Row.Equal) {
		return // do not replace a card below the pointer
	}
	v.have, v.rows, v.drawn = have, state.Rows, true
	v.cards.Objects = nil
	var bytes int64
	count := 0
	for _, a := range have {
		if v.want == "" || v.want == a.Target {
			row, _ := state.Row(a.Target)
			open := v.open == a.SHA256 || v.open == "" && count == 0
			v.cards.Add(newCard(v.w, a, row, open, func() { v.open = a.SHA256; v.drawn = false; v.draw(v.have) }))
			bytes += a.Allocated
			count++
		}
	}
	v.head.SetText(fmt.Sprintf("%d files, %s on disk", count, size(bytes)))
	if count == 1 {
		v.head.SetText("1 file, " + size(bytes) + " on disk")
	}
	v.head.Hidden = count == 0
	if count == 0 {
		build := widget.NewButton("Build one…", func() { v.w.Go(Route{Page: pageHome}) })
		build.Importance = widget.HighImportance
		v.cards.Add(message("No image yet", "A build makes one: press Build on the page Home. The finished file is dragged out from here."))
		v.cards.Add(container.NewHBox(build))
	}
	v.cards.Refresh()
}

// card is one artifact. It can be dragged into a file manager.
type card struct {
	widget.BaseWidget
	w        *Window
	info     status.ArtifactInfo
	inside   fyne.CanvasObject
	moved    float32
	dragging bool
}

// newCard makes the card of an artifact; row is that of its target. An open card has
// what stands behind the image; the others a button that opens them.
func newCard(w *Window, a status.ArtifactInfo, row api.Row, open bool, opens func()) *card {
	c := &card{w: w, info: a}
	title := a.Target
	if row.Target != "" {
		title = titleOf(row)
	}
	name := text(clean(title), theme.SizeNameSubHeadingText, true)
	file := text(clean(a.Name), theme.SizeNameCaptionText, false)
	file.TextStyle.Monospace = true
	facts := text(clean(size(a.Size)+" ("+size(a.Allocated)+" on disk) · made "+formatTime(a.At)+" · SHA-256 "+short(a.SHA256)+"…"), theme.SizeNameCaptionText, false)
	facts.Importance = widget.LowImportance
	body := container.NewVBox(container.NewBorder(nil, nil, nil, container.NewCenter(pillsOf(a, row)), name), container.New(linesLayout{}, file, facts), w.cardBar(a, row, open, opens))
	content := container.NewBorder(nil, nil, container.NewCenter(dragTile(a)), nil, body)
	stroke := look.Stroke
	if a.Problem != "" {
		stroke = look.Bad
	}
	if open {
		c.inside = panel(stroke, container.NewVBox(content, widget.NewSeparator(), w.trust(a, row)))
	} else {
		c.inside = panel(stroke, content)
	}
	c.ExtendBaseWidget(c)
	return c
}

// dragTile is the part of a card that looks like a file to be taken.
func dragTile(a status.ArtifactInfo) fyne.CanvasObject {
	format, hint := caption(clean(a.Format), true), caption("drag me out", false)
	if a.Problem != "" {
		hint.text.Text = "not usable"
	}
	lines := container.NewVBox(container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(30), widget.NewIcon(theme.NewPrimaryThemedResource(theme.FileIcon())))), container.NewCenter(format), container.NewCenter(hint))
	return container.NewGridWrap(fyne.NewSize(94, 96), container.NewStack(newBlock(theme.ColorNameSelection, theme.ColorNamePrimary, 12), container.NewCenter(lines)))
}

// pillsOf are the states of an image: whether these bytes boot, where they are published,
// whether the recipe has changed since.
func pillsOf(a status.ArtifactInfo, row api.Row) fyne.CanvasObject {
	box := container.NewHBox()
	switch {
	case a.Problem != "":
		box.Add(pill(api.Failed, "Not the file that was made"))
		return box
	case a.Boots == api.Passed:
		box.Add(pill(api.Passed, "Boots"))
	case a.Boots == api.Failed:
		box.Add(pill(api.Failed, "Does not boot"))
	default:
		box.Add(pill(api.Unknown, "Not boot-tested"))
	}
	for _, in := range row.BootedIn {
		if a.Proof == "" || a.Proof != row.Boots.Evidence { // the machines are those of another file
			break
		}
		if in.Name != "QEMU" && in.State == api.Passed {
			box.Add(pill(api.Passed, clean(in.Name)))
		}
	}
	switch {
	case a.URL != "" && !a.Local:
		box.Add(pill(api.Passed, "Published"))
	default:
		box.Add(pill(api.Unknown, "Only on this computer"))
	}
	if row.Exported.State == api.Stale {
		box.Add(pill(api.Stale, "Older than its recipe"))
	}
	return box
}

// cardBar has what can be done with an image.
func (w *Window) cardBar(a status.ArtifactInfo, row api.Row, open bool, opens func()) fyne.CanvasObject {
	bar := container.NewHBox()
	add := func(label string, imp widget.Importance, do func()) {
		b := widget.NewButton(label, do)
		b.Importance = imp
		bar.Add(b)
	}
	if row.Exported.State == api.Stale || a.Problem != "" {
		add("Build again", widget.HighImportance, func() { w.build(api.Submission{Target: a.Target}) })
	} else if a.Proven() && a.URL == "" {
		add("Publish", widget.HighImportance, func() { w.build(api.Submission{Target: a.Target, Force: []string{"publish"}}) })
	}
	if a.Problem == "" {
		save := widget.NewSelect(api.Formats, func(format string) { w.exportAs(a, format) })
		save.PlaceHolder = "Save as…"
		bar.Add(save)
	}
	add("Show in folder", widget.MediumImportance, func() { w.showStatus(w.desktop.Reveal(a.Path), "") })
	if a.Template != "" {
		add("Copy limactl line", widget.MediumImportance, func() { w.copy("limactl start " + a.Template) })
	}
	if a.URL != "" {
		add("Copy link", widget.MediumImportance, func() { w.copy(a.URL) })
	}
	if !open {
		add("Details", widget.LowImportance, opens)
	}
	return bar
}

// trust shows why an image can be trusted, and how others check it.
func (w *Window) trust(a status.ArtifactInfo, row api.Row) fyne.CanvasObject {
	why := container.NewVBox(text("Why you can trust it", theme.SizeNameText, true))
	line := func(s api.State, reason, evidence string) {
		l := widget.NewLabel(clean(reason))
		l.Wrapping, l.SizeName = fyne.TextWrapWord, theme.SizeNameCaptionText
		mark := container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(14), widget.NewIcon(look.Shape(s))))
		var end fyne.CanvasObject
		if evidence != "" {
			b := widget.NewButton("Evidence", func() { w.Go(Route{pageEvidence, []string{evidence}}) })
			b.Importance = widget.LowImportance
			end = container.NewCenter(b)
		}
		why.Add(container.NewBorder(nil, nil, mark, end, l))
	}
	switch {
	case a.Problem != "":
		line(api.Failed, a.Problem, a.Evidence)
	case a.Boots == api.Passed:
		machines := ""
		if a.Proof == row.Boots.Evidence {
			machines = " " + row.Machines()
		}
		line(api.Passed, "These very bytes booted."+machines, a.Proof)
	case a.Boots == api.Failed:
		line(api.Failed, "These bytes did not boot.", a.Proof)
	default:
		line(api.Unknown, "Nobody has booted these bytes yet.", "")
	}
	switch k := row.Kernel; {
	case row.Exported.State != api.Passed: // the kernel's cell is about another image
	case k.State == api.Passed:
		line(api.Passed, "Its kernel was built by Ingot.", k.Evidence)
	case k.Note != "":
		line(api.Unknown, "Kernel: "+k.Note+".", "")
	}
	if row.Published.State == api.Passed && a.URL != "" {
		from := "its public address"
		if a.Local {
			from = "the local store"
		}
		line(api.Passed, "Read back from "+from+" after the upload; the digest was equal.", row.Published.Evidence)
	}
	if a.Problem == "" {
		line(api.Passed, "A signed document names its digest, and what it was made of.", a.Evidence)
	}

	check := container.NewVBox(text("Let others check it", theme.SizeNameText, true))
	if a.URL == "" {
		check.Add(message("", "Once it is published, everybody can check it by one command, which is shown here."))
	} else {
		command := "ingot verify --boot --key ingot.pub " + releaseOf(a.URL)
		l := widget.NewLabel(clean(command))
		l.TextStyle.Monospace, l.SizeName, l.Wrapping, l.Selectable = true, theme.SizeNameCaptionText, fyne.TextWrapBreak, true
		check.Add(container.NewStack(newBlock(look.Raised, "", 8), l))
		check.Add(container.NewHBox(widget.NewButton("Copy command", func() { w.copy(command) })))
		check.Add(message("", "They need your public key, which `ingot evidence key > ingot.pub` writes: give it to them by another way than the image."))
		if a.Local {
			check.Add(message("", "This address is served on this computer only."))
		}
	}
	return container.NewGridWithColumns(2, why, check)
}

// githubDownload matches the address of a file of a release on GitHub.
var githubDownload = regexp.MustCompile(`^https?://[^/]+/([^/]+)/([^/]+)/releases/download/([^/]+)/`)

// releaseOf returns the release of a published file, as verify takes it.
func releaseOf(file string) string {
	if m := githubDownload.FindStringSubmatch(file); m != nil {
		return "github:" + m[1] + "/" + m[2] + "@" + m[3]
	}
	return file[:strings.LastIndexByte(file, '/')+1]
}

// CreateRenderer is called by Fyne.
func (c *card) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(container.NewStack(c.inside))
}

// dragThreshold is how far the pointer moves before a press becomes a drag, in
// Fyne's units.
const dragThreshold = 6

// Dragged starts the desktop's drag while the pointer is still on the card.
func (c *card) Dragged(e *fyne.DragEvent) {
	c.moved += abs(e.Dragged.DX) + abs(e.Dragged.DY)
	if c.dragging || c.moved < dragThreshold {
		return
	}
	c.dragging = true
	ended := func(accepted bool, err error) {
		c.w.main(func() {
			c.dragging = false
			if accepted || err != nil {
				c.w.showStatus(err, c.info.Name+" was copied")
			}
		})
	}
	file, err := c.w.backend.HandOut(c.info)
	if err == nil {
		err = c.w.desktop.StartDrag(c.w.Window, file, ended)
	}
	if err != nil {
		ended(false, err)
	}
}

// DragEnd is called when the button is released.
func (c *card) DragEnd() { c.moved = 0 }

func abs(f float32) float32 { return max(f, -f) }

func (w *Window) copy(text string) {
	fyne.CurrentApp().Clipboard().SetContent(text)
	w.showStatus(nil, "copied: "+text)
}

// exportAs asks for a file and writes the disk in a format.
func (w *Window) exportAs(a status.ArtifactInfo, format string) {
	w.saveAs(a.Target+"."+format, func(dst string) {
		w.showStatus(nil, "writing "+dst)
		w.do(func(ctx context.Context) error {
			return w.backend.Export(ctx, a.Target, format, dst, func(int64, int64) {})
		}, func(err error) { w.showStatus(err, "wrote "+dst) })
	})
}

// saveAs asks for the file that an export writes.
func (w *Window) saveAs(name string, write func(dst string)) {
	d := dialog.NewFileSave(func(to fyne.URIWriteCloser, err error) {
		if err != nil || to == nil {
			return // no file was selected
		}
		_ = to.Close() // the export replaces the file when it is complete
		write(to.URI().Path())
	}, w.Window)
	d.SetFileName(name)
	d.Show()
}
