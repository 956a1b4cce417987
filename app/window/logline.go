package window

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// logLine is a line of a log: bare text, as a label's padding would show half as
// many. Lines of ASCII are put together from glyphs that were drawn once, which
// takes a tenth of what a new canvas.Text takes (Fyne v2.7.1 draws the outline of
// every letter): a followed log shows forty new ones at a time. Others are left
// to canvas.Text, which knows all fonts and scripts.
type logLine struct {
	widget.BaseWidget
	text   string
	colour fyne.ThemeColorName
	letter float32 // width of one
	ascii  *canvas.Raster
	other  *canvas.Text
	pixels *image.RGBA
}

func newLogLine() fyne.CanvasObject {
	l := &logLine{other: canvas.NewText("", color.Transparent)}
	l.other.TextStyle.Monospace = true
	l.other.TextSize = theme.CaptionTextSize()
	l.letter = fyne.MeasureText("m", l.other.TextSize, l.other.TextStyle).Width
	l.ascii = canvas.NewRaster(l.draw)
	l.ascii.SetMinSize(fyne.NewSize(0, l.other.MinSize().Height))
	l.other.Hide()
	l.ExtendBaseWidget(l)
	return l
}

// CreateRenderer lays the two ways over each other; one is shown.
func (l *logLine) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(container.New(lineLayout{l}, l.ascii, l.other))
}

// widthStep is what widths of pictures are multiples of, so that most lines can use
// that of the line before.
const widthStep = 256

// fit makes the picture no wider than its text: what is transparent takes as
// long to draw.
func (l *logLine) fit(size fyne.Size) {
	wide := float32(math.Ceil(float64(len(l.text)+1)*float64(l.letter)/widthStep) * widthStep)
	l.ascii.Resize(fyne.NewSize(min(wide, size.Width), size.Height))
}

type lineLayout struct{ l *logLine }

func (y lineLayout) Layout(_ []fyne.CanvasObject, size fyne.Size) {
	y.l.fit(size)
	y.l.other.Resize(size)
}

// MinSize is the height of a line, of any width.
func (y lineLayout) MinSize([]fyne.CanvasObject) fyne.Size { return y.l.ascii.MinSize() }

func setLogLine(o fyne.CanvasObject, s string, c fyne.ThemeColorName) {
	l := o.(*logLine)
	if l.text == s && l.colour == c {
		return
	}
	l.text, l.colour = s, c
	if plain(s) {
		l.fit(l.Size())
		l.other.Hide()
		l.ascii.Show()
		l.ascii.Refresh()
		return
	}
	l.ascii.Hide()
	l.other.Text, l.other.Color = s, theme.Color(c)
	l.other.Show()
	l.other.Refresh()
}

// Refresh draws it anew, in the colours of a theme that may be another one.
func (l *logLine) Refresh() {
	l.other.Color = theme.Color(l.colour)
	l.BaseWidget.Refresh()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// draw makes the line's picture of w by h pixels; the toolkit asks for it on the
// main goroutine, and takes it before it asks again.
func (l *logLine) draw(w, h int) image.Image {
	if l.pixels == nil || l.pixels.Rect.Dx() != w || l.pixels.Rect.Dy() != h {
		l.pixels = image.NewRGBA(image.Rect(0, 0, w, h))
	} else {
		clear(l.pixels.Pix)
	}
	size := float64(l.other.TextSize) * float64(w) / float64(max(1, l.ascii.Size().Width))
	size = math.Round(size*16) / 16 // w is rounded too: lines of all widths have one size
	if g := glyphsOf(size); g != nil {
		g.draw(l.pixels, l.text, theme.Color(l.colour))
	}
	return l.pixels
}

// glyphs are the pictures of printable ASCII in the toolkit's monospace font.
type glyphs struct {
	size    float64 // in pixels
	ascent  int
	advance float64
	mask    ['~' - ' ' + 1]image.Image
	at      ['~' - ' ' + 1]image.Rectangle // from the dot
	from    ['~' - ' ' + 1]image.Point     // in mask
}

// lastGlyphs are those of the newest size; a window has one. Only the main
// goroutine uses them.
var lastGlyphs *glyphs

// glyphsOf draws the glyphs in a size; nil for a font that cannot be read.
func glyphsOf(size float64) *glyphs {
	if lastGlyphs != nil && lastGlyphs.size == size {
		return lastGlyphs
	}
	parsed, err := opentype.Parse(theme.DefaultTextMonospaceFont().Content())
	if err != nil {
		return nil
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return nil
	}
	g := &glyphs{size: size, ascent: face.Metrics().Ascent.Ceil()}
	for i := range g.mask {
		at, mask, from, advance, ok := face.Glyph(fixed.Point26_6{}, rune(' '+i))
		if !ok {
			continue
		}
		kept := image.NewAlpha(mask.Bounds()) // the face draws the next one over it
		draw.Draw(kept, kept.Rect, mask, kept.Rect.Min, draw.Src)
		g.mask[i], g.at[i], g.from[i], g.advance = kept, at, from, float64(advance)/64
	}
	lastGlyphs = g
	return g
}

func (g *glyphs) draw(dst *image.RGBA, s string, c color.Color) {
	src := image.NewUniform(c)
	for i := range len(s) {
		x := int(math.Round(float64(i) * g.advance))
		if x >= dst.Rect.Max.X {
			return
		}
		if n := s[i] - ' '; g.mask[n] != nil {
			draw.DrawMask(dst, g.at[n].Add(image.Pt(x, g.ascent)), src, image.Point{}, g.mask[n], g.from[n], draw.Over)
		}
	}
}
