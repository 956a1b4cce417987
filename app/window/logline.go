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

// logLine is a line of a log, drawn without the padding of a label, which would
// halve the number of visible lines. A line of ASCII is composed of glyphs that
// were drawn once; that takes a tenth of the time of a new canvas.Text, for
// which Fyne v2.7.1 draws the outline of every letter, and a followed log shows
// forty new lines at once. Other lines use canvas.Text, which supports all
// fonts and scripts.
type logLine struct {
	widget.BaseWidget
	text   string
	colour fyne.ThemeColorName
	letter float32 // width of a character
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

// CreateRenderer stacks the two objects, of which one is visible.
func (l *logLine) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(container.New(lineLayout{l}, l.ascii, l.other))
}

// widthStep: widths of pictures are multiples of it, so that most lines can
// reuse the picture of the line before.
const widthStep = 256

// fit makes the picture no wider than its text, since drawing transparent
// pixels takes as long as others.
func (l *logLine) fit(size fyne.Size) {
	wide := float32(math.Ceil(float64(len(l.text)+1)*float64(l.letter)/widthStep) * widthStep)
	l.ascii.Resize(fyne.NewSize(min(wide, size.Width), size.Height))
}

type lineLayout struct{ l *logLine }

func (y lineLayout) Layout(_ []fyne.CanvasObject, size fyne.Size) {
	y.l.fit(size)
	y.l.other.Resize(size)
}

// MinSize returns the height of a line, which may have any width.
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

// Refresh draws the line again, with the colours of the current theme.
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

// draw draws the line's picture of w by h pixels. The toolkit calls it on the
// main goroutine, and uses the picture before the next call.
func (l *logLine) draw(w, h int) image.Image {
	if l.pixels == nil || l.pixels.Rect.Dx() != w || l.pixels.Rect.Dy() != h {
		l.pixels = image.NewRGBA(image.Rect(0, 0, w, h))
	} else {
		clear(l.pixels.Pix)
	}
	size := float64(l.other.TextSize) * float64(w) / float64(max(1, l.ascii.Size().Width))
	size = math.Round(size*16) / 16 // w is rounded too, so that all widths give the same size
	if g := glyphsOf(size); g != nil {
		g.draw(l.pixels, l.text, theme.Color(l.colour))
	}
	return l.pixels
}

// glyphs are the pictures of printable ASCII in the toolkit's monospace font.
type glyphs struct {
	size    float64 // in pixels
	ascent  int
	descent int // of the lowest glyph, the underscore, below the baseline
	advance float64
	mask    ['~' - ' ' + 1]image.Image
	at      ['~' - ' ' + 1]image.Rectangle // from the dot
	from    ['~' - ' ' + 1]image.Point     // in mask
}

// lastGlyphs are the glyphs of the latest size; a window uses only one. Only
// the main goroutine uses it.
var lastGlyphs *glyphs

// glyphsOf draws the glyphs in a size, or returns nil if the font cannot be
// read.
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
		kept := image.NewAlpha(mask.Bounds()) // the font face reuses the mask for the next glyph
		draw.Draw(kept, kept.Rect, mask, kept.Rect.Min, draw.Src)
		g.mask[i], g.at[i], g.from[i], g.advance = kept, at, from, float64(advance)/64
		g.descent = max(g.descent, at.Max.Y)
	}
	lastGlyphs = g
	return g
}

// draw draws a line whose lowest glyph ends within the picture: the toolkit's line
// height is less than the font's, and an underscore lies at its end.
func (g *glyphs) draw(dst *image.RGBA, s string, c color.Color) {
	src := image.NewUniform(c)
	baseline := min(g.ascent, dst.Rect.Dy()-g.descent)
	for i := range len(s) {
		x := int(math.Round(float64(i) * g.advance))
		if x >= dst.Rect.Max.X {
			return
		}
		if n := s[i] - ' '; g.mask[n] != nil {
			draw.DrawMask(dst, g.at[n].Add(image.Pt(x, baseline)), src, image.Point{}, g.mask[n], g.from[n], draw.Over)
		}
	}
}
