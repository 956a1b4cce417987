package window

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/look"
	"ingot/backend/api"
)

// film is a boot as a strip of frames, one for each phase.
type film struct {
	name    string // of the boot: seeded, unseeded
	verdict api.State
	frames  []frame
	good    float64  // seconds of the last good boot; 0 if there was none
	differs []string // where a failed boot left the way of the last good one, as lines of text
	shot    string   // path of the screenshot; "" is none
}

// frame is a phase with the last lines that the guest wrote in it.
type frame struct {
	name    string
	seconds float64 // when it was reached; -1 is unknown
	usual   float64 // when the last good boot reached it; 0 is unknown
	lines   []string
	state   api.State
}

// frameLines is the number of lines in a frame.
const frameLines = 7

// phaseTitles are the phases for a person, in the order of a boot.
var phaseTitles = []struct{ name, title string }{{"firmware", "Firmware"}, {"loader", "Loader"}, {"kernel", "Kernel"}, {"init", "Init"}, {"login", "Login"}, {"answer", "Answer"}}

// filmOf cuts the log of a boot into frames. A boot that has not ended is Running in its
// last phase; one that failed is Failed there.
func filmOf(phases []api.Phase, log []string, end api.State) []frame {
	at := starts(phases, log)
	var out []frame
	next := 0
	for _, t := range phaseTitles {
		f := frame{name: t.title, seconds: -1}
		if next < len(phases) && phases[next].Name == t.name {
			to := len(log)
			if next+1 < len(at) {
				to = at[next+1]
			}
			f.seconds, f.state, f.lines = phases[next].Seconds, api.Passed, lastLines(log[min(at[next], to):to])
			if t.name == "answer" {
				f.lines = []string{"it answered a", "command"} // between two of its own prompts
			}
			next++
			if next == len(phases) && end != api.Passed {
				f.state = end
			}
		} else if next > 0 && next < len(phases) {
			f.state = api.Passed // a later phase was reached: this one wrote nothing
		}
		out = append(out, f)
	}
	return out
}

// starts returns the index of the line at which each phase begins. A phase without a line
// begins at the end of the log.
func starts(phases []api.Phase, log []string) []int {
	var out []int
	from := 0
	for _, p := range phases {
		i := from
		for i < len(log) && (p.Line == "" || !strings.Contains(log[i], clean(p.Line))) {
			i++
		}
		if i == len(log) && p.Line != "" {
			i = from // the line was cut
		}
		out = append(out, i)
		from = min(i+1, len(log))
	}
	return out
}

func lastLines(log []string) []string {
	var out []string
	for i := len(log) - 1; i >= 0 && len(out) < frameLines; i-- {
		if strings.TrimSpace(log[i]) != "" {
			out = append([]string{log[i]}, out...)
		}
	}
	return out
}

// consoleLimit is the number of bytes of a console log of which a film is made.
const consoleLimit = 4 << 20

// readConsole returns the lines of a console log as they are shown.
func readConsole(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, consoleLimit)
	n := 0
	for n < len(buf) {
		m, err := f.Read(buf[n:])
		n += m
		if err != nil {
			break // the end
		}
	}
	var out []string
	for _, l := range strings.Split(strings.TrimRight(string(buf[:n]), "\r\n"), "\n") {
		out = append(out, clean(strings.TrimRight(l, "\r")))
	}
	return out, nil
}

// changing is what differs from boot to boot: times, addresses, numbers.
var changing = regexp.MustCompile(`^\[ *\d+\.\d+\] ?|0x[0-9a-f]+|\d+`)

// difference returns the last line of a boot that the good boot has too, what the good
// one wrote next, and what this one wrote instead ("" is nothing); false if they have no
// line in common, or this one wrote as much as the good one.
func difference(good, this []string) (common, then, instead string, ok bool) {
	places := map[string]int{} // where the good boot has a line
	var lines []string
	for _, l := range good {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
			places[changing.ReplaceAllString(l, "")] = len(lines) - 1
		}
	}
	var ours []string
	for _, l := range this {
		if l = strings.TrimSpace(l); l != "" {
			ours = append(ours, l)
		}
	}
	for i := len(ours) - 1; i >= 0; i-- {
		at, known := places[changing.ReplaceAllString(ours[i], "")]
		if !known {
			continue
		}
		if at+1 == len(lines) {
			return "", "", "", false
		}
		if i+1 < len(ours) {
			instead = ours[i+1]
		}
		return ours[i], lines[at+1], instead, true
	}
	return "", "", "", false
}

// total returns the seconds of the last phase that was reached.
func total(frames []frame) float64 {
	out := 0.0
	for _, f := range frames {
		out = max(out, f.seconds)
	}
	return out
}

// object draws the film.
func (f film) object() fyne.CanvasObject {
	var parts []fyne.CanvasObject
	for _, fr := range f.frames {
		parts = append(parts, fr.object())
	}
	if f.shot != "" {
		if img, err := decodeImage(f.shot); err == nil {
			c := canvas.NewImageFromImage(img)
			c.FillMode = canvas.ImageFillContain
			none := caption("", false)
			parts = append(parts, container.New(frameLayout{}, container.NewStack(newBlock(look.Log, look.Stroke, 6), c), widget.NewIcon(nil), caption("Screen", true), none, none))
		}
	}
	column := container.NewVBox(container.New(stripLayout{}, parts...), f.scale())
	for _, l := range f.differs {
		line := widget.NewLabel(clean(l))
		line.Wrapping, line.SizeName, line.Selectable = fyne.TextWrapBreak, theme.SizeNameCaptionText, true
		column.Add(line)
	}
	return column
}

// object draws a frame: what the guest wrote, and under it the phase with its time.
func (f frame) object() fyne.CanvasObject {
	stroke := look.Stroke
	switch f.state {
	case api.Running:
		stroke = look.Active
	case api.Failed:
		stroke = look.Bad
	}
	lines := container.New(printLayout{})
	for _, l := range f.lines {
		lines.Add(newInk(cut(l, 40), look.LogText, printSize, fyne.TextStyle{Monospace: true}))
	}
	paper := container.NewStack(newBlock(look.Log, stroke, 6), container.NewPadded(container.NewClip(lines)))
	name, when, usual := caption(f.name, true), caption(f.when(), false), caption(f.usually(), false)
	return container.New(frameLayout{}, paper, widget.NewIcon(look.Shape(f.state)), name, when, usual)
}

// caption is a text under a frame.
func caption(s string, bold bool) *ink {
	colour := look.Second
	if bold {
		colour = theme.ColorNameForeground
	}
	return newInk(s, colour, theme.CaptionTextSize(), fyne.TextStyle{Bold: bold})
}

// frameLayout puts a mark, the phase and its time under the paper, and below them when it
// is usually reached.
type frameLayout struct{}

const (
	paperHigh   float32 = frameLines*printStep + 12
	captionHigh float32 = 18
	frameMark   float32 = 12
)

func (frameLayout) MinSize([]fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(frameThin, paperHigh+2*captionHigh)
}

func (frameLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	o[0].Resize(fyne.NewSize(s.Width, paperHigh))
	o[1].Resize(fyne.NewSquareSize(frameMark))
	o[1].Move(fyne.NewPos(0, paperHigh+4))
	o[2].Resize(o[2].MinSize())
	o[2].Move(fyne.NewPos(frameMark+4, paperHigh+2))
	when, usual := o[3], o[4]
	right := func(l fyne.CanvasObject, row float32) {
		l.Resize(l.MinSize())
		l.Move(fyne.NewPos(s.Width-l.MinSize().Width, paperHigh+2+row*captionHigh))
	}
	used := frameMark + 4 + o[2].MinSize().Width
	usual.Show()
	right(usual, 1)
	if used+4+when.MinSize().Width <= s.Width {
		right(when, 0)
		return
	}
	when.Resize(when.MinSize()) // below the phase; what is usual only if there is room
	when.Move(fyne.NewPos(frameMark+4, paperHigh+2+captionHigh))
	if frameMark+8+when.MinSize().Width+usual.MinSize().Width > s.Width {
		usual.Hide()
	}
}

// when tells at which second a phase was reached.
func (f frame) when() string {
	switch {
	case f.seconds < 0:
		return "–"
	case f.seconds < 99.95:
		return fmt.Sprintf("%.1f s", f.seconds)
	}
	return fmt.Sprintf("%.0f s", f.seconds)
}

// usually tells at which second the last good boot reached it.
func (f frame) usually() string {
	if f.usual <= 0 {
		return ""
	}
	return fmt.Sprintf("usually %.0f s", f.usual)
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// scale is a bar of the boot's time, a piece for each phase, on the time of the last good
// boot.
func (f film) scale() fyne.CanvasObject {
	whole := max(total(f.frames), f.good)
	bar := container.New(&scaleLayout{whole: whole}, newBlock(look.Raised, "", 3))
	l := bar.Layout.(*scaleLayout)
	from := 0.0
	for i, fr := range f.frames {
		if fr.seconds < 0 {
			continue
		}
		to := fr.seconds
		if i+1 < len(f.frames) && f.frames[i+1].seconds > to {
			to = f.frames[i+1].seconds
		}
		colour := look.Passed
		switch fr.state {
		case api.Running:
			colour = look.Active
		case api.Failed:
			colour = look.Bad
		}
		l.ends = append(l.ends, [2]float64{from, to})
		from = to
		bar.Add(newBlock(colour, "", 3))
	}
	return bar
}

// scaleLayout places the ground and then the pieces between their seconds.
type scaleLayout struct {
	whole float64
	ends  [][2]float64
}

func (l *scaleLayout) MinSize([]fyne.CanvasObject) fyne.Size { return fyne.NewSize(100, 10) }

func (l *scaleLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	const high = 7
	o[0].Resize(fyne.NewSize(s.Width, high))
	if l.whole <= 0 {
		return
	}
	for i, e := range l.ends {
		from, to := float32(e[0]/l.whole)*s.Width, float32(e[1]/l.whole)*s.Width
		o[i+1].Move(fyne.NewPos(from, 0))
		o[i+1].Resize(fyne.NewSize(max(0, to-from-2), high))
	}
}

// stripLayout puts frames side by side, all as wide as the others.
type stripLayout struct{}

const (
	printSize  float32 = 8
	printStep  float32 = 11
	frameThin  float32 = 84
	stripSpace float32 = 8
)

func (stripLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(float32(len(o))*(frameThin+stripSpace)-stripSpace, paperHigh+2*captionHigh)
}

func (stripLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	wide := (s.Width+stripSpace)/float32(max(1, len(o))) - stripSpace
	for i, f := range o {
		f.Move(fyne.NewPos(float32(i)*(wide+stripSpace), 0))
		f.Resize(fyne.NewSize(wide, s.Height))
	}
}

// printLayout puts small lines of text under each other.
type printLayout struct{}

func (printLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(10, frameLines*printStep)
}

func (printLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	for i, l := range o {
		l.Move(fyne.NewPos(0, float32(i)*printStep))
		l.Resize(fyne.NewSize(s.Width, printStep))
	}
}
