package window

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"ingot/app/look"
	"ingot/backend/api"
)

// block is a rounded rectangle whose colours follow the theme.
type block struct {
	widget.BaseWidget
	fill, stroke fyne.ThemeColorName // "" is none
	radius       float32
	rect         *canvas.Rectangle
}

func newBlock(fill, stroke fyne.ThemeColorName, radius float32) *block {
	b := &block{fill: fill, stroke: stroke, radius: radius, rect: &canvas.Rectangle{}}
	b.ExtendBaseWidget(b)
	b.paint()
	return b
}

func (b *block) paint() {
	b.rect.CornerRadius, b.rect.FillColor, b.rect.StrokeColor, b.rect.StrokeWidth = b.radius, nil, nil, 0
	if b.fill != "" {
		b.rect.FillColor = theme.Color(b.fill)
	}
	if b.stroke != "" {
		b.rect.StrokeColor, b.rect.StrokeWidth = theme.Color(b.stroke), 1
	}
}

// set changes the colours.
func (b *block) set(fill, stroke fyne.ThemeColorName) {
	if b.fill == fill && b.stroke == stroke {
		return
	}
	b.fill, b.stroke = fill, stroke
	b.Refresh()
}

// Refresh paints the block in the colours of the theme.
func (b *block) Refresh() {
	b.paint()
	b.BaseWidget.Refresh()
}

// CreateRenderer is called by Fyne.
func (b *block) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(b.rect) }

// ink is a line of text without a label's padding, whose colour follows the theme.
type ink struct {
	widget.BaseWidget
	colour fyne.ThemeColorName
	text   *canvas.Text
}

func newInk(s string, colour fyne.ThemeColorName, size float32, style fyne.TextStyle) *ink {
	t := &ink{colour: colour, text: canvas.NewText(s, theme.Color(colour))}
	t.text.TextSize, t.text.TextStyle = size, style
	t.ExtendBaseWidget(t)
	return t
}

// Refresh draws the text in the colour of the theme.
func (t *ink) Refresh() {
	t.text.Color = theme.Color(t.colour)
	t.BaseWidget.Refresh()
}

// CreateRenderer is called by Fyne.
func (t *ink) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(t.text) }

// panel is a card: content on a surface with a thin border, or one of another colour.
func panel(stroke fyne.ThemeColorName, content fyne.CanvasObject) fyne.CanvasObject {
	return container.NewStack(newBlock(look.Surface, stroke, 12), container.NewPadded(container.NewPadded(content)))
}

// middle gives an object the whole width, and puts it in the middle of the height.
func middle(o fyne.CanvasObject) fyne.CanvasObject { return container.New(middleLayout{}, o) }

type middleLayout struct{}

func (middleLayout) MinSize(o []fyne.CanvasObject) fyne.Size { return o[0].MinSize() }

func (middleLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	high := o[0].MinSize().Height
	o[0].Resize(fyne.NewSize(s.Width, high))
	o[0].Move(fyne.NewPos(0, (s.Height-high)/2))
}

// section is a card with a title, and a line about it; "" is none.
func section(title, about string, content fyne.CanvasObject) fyne.CanvasObject {
	name := text(title, theme.SizeNameSubHeadingText, true)
	name.Truncation = fyne.TextTruncateOff
	second := text(about, theme.SizeNameCaptionText, false)
	second.Importance = widget.LowImportance
	return panel(look.Stroke, container.NewBorder(container.NewBorder(nil, nil, name, nil, middle(second)), nil, nil, nil, content))
}

// text returns a label of one line that is cut where it is too long.
func text(s string, size fyne.ThemeSizeName, bold bool) *widget.Label {
	l := widget.NewLabel(s)
	l.SizeName, l.TextStyle.Bold, l.Truncation = size, bold, fyne.TextTruncateEllipsis
	return l
}

// pill is a state in a word, with its mark, on a ground of its colour.
func pill(s api.State, word string) fyne.CanvasObject {
	mark, back := look.StateColours(s)
	label := newInk(word, mark, theme.CaptionTextSize(), fyne.TextStyle{Bold: true})
	icon := widget.NewIcon(look.ShapeOnBack(s))
	return container.NewStack(newBlock(back, "", 12), container.New(pillLayout{}, icon, label))
}

// pillLayout puts a mark before a word.
type pillLayout struct{}

const pillHeight, pillIcon, pillPad = 24, 14, 9

func (pillLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(2*pillPad+pillIcon+5+o[1].MinSize().Width, pillHeight)
}

func (pillLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	o[0].Resize(fyne.NewSquareSize(pillIcon))
	o[0].Move(fyne.NewPos(pillPad, (s.Height-pillIcon)/2))
	word := o[1].MinSize()
	o[1].Resize(word)
	o[1].Move(fyne.NewPos(pillPad+pillIcon+5, (s.Height-word.Height)/2))
}

// six are the marks of a target's cells: shape and colour of each state. A tap on one
// opens what stands behind it.
type six struct {
	widget.BaseWidget
	row    api.Row
	tapped func(cell int)
	blocks []*block
	icons  []*widget.Icon
}

const markSize, markGap = 20, 4

func newSix() *six {
	m := &six{}
	for range (api.Row{}).Cells() {
		m.blocks = append(m.blocks, newBlock("", look.Stroke, 6))
		m.icons = append(m.icons, widget.NewIcon(nil))
	}
	m.ExtendBaseWidget(m)
	return m
}

// show shows a row.
func (m *six) show(r api.Row, tapped func(cell int)) {
	m.tapped = tapped
	if m.row.Equal(r) && m.row.Target != "" {
		return
	}
	m.row = r
	for i, c := range r.Cells() {
		if c.Cell.State == api.Unknown {
			m.blocks[i].set("", look.Stroke)
			m.icons[i].Hide()
			continue
		}
		_, back := look.StateColours(c.Cell.State)
		m.blocks[i].set(back, "")
		m.icons[i].SetResource(look.ShapeOnBack(c.Cell.State))
		m.icons[i].Show()
	}
}

// Tapped is called by Fyne.
func (m *six) Tapped(e *fyne.PointEvent) {
	if i := int(e.Position.X / (markSize + markGap)); m.tapped != nil && i >= 0 && i < len(m.blocks) {
		m.tapped(i)
	}
}

// MinSize is called by Fyne.
func (m *six) MinSize() fyne.Size {
	return fyne.NewSize(float32(len(m.blocks))*(markSize+markGap)-markGap, markSize)
}

// CreateRenderer is called by Fyne.
func (m *six) CreateRenderer() fyne.WidgetRenderer {
	var all []fyne.CanvasObject
	for i := range m.blocks {
		all = append(all, m.blocks[i], m.icons[i])
	}
	return widget.NewSimpleRenderer(container.New(sixLayout{}, all...))
}

// sixLayout puts blocks and icons, alternating, side by side.
type sixLayout struct{}

func (sixLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(float32(len(o)/2)*(markSize+markGap)-markGap, markSize)
}

func (sixLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	const inner = 14
	for i := 0; i+1 < len(o); i += 2 {
		x, y := float32(i/2)*(markSize+markGap), (s.Height-markSize)/2
		o[i].Resize(fyne.NewSquareSize(markSize))
		o[i].Move(fyne.NewPos(x, y))
		o[i+1].Resize(fyne.NewSquareSize(inner))
		o[i+1].Move(fyne.NewPos(x+(markSize-inner)/2, y+(markSize-inner)/2))
	}
}

// bar is a thin bar of progress.
type bar struct {
	widget.BaseWidget
	done        float32 // of 1
	whole, part *block
}

func newBar() *bar {
	b := &bar{whole: newBlock(look.Raised, "", 3), part: newBlock(look.Active, "", 3)}
	b.ExtendBaseWidget(b)
	return b
}

func (b *bar) set(done float32) {
	if b.done = min(1, max(0, done)); b.Size().Width > 0 {
		b.part.Resize(fyne.NewSize(b.Size().Width*b.done, barHeight))
	}
}

const barHeight = 6

// CreateRenderer is called by Fyne.
func (b *bar) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(container.New(barLayout{b}, b.whole, b.part))
}

type barLayout struct{ b *bar }

func (barLayout) MinSize([]fyne.CanvasObject) fyne.Size { return fyne.NewSize(40, barHeight) }

func (l barLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	o[0].Resize(fyne.NewSize(s.Width, barHeight))
	o[1].Resize(fyne.NewSize(s.Width*l.b.done, barHeight))
}

// linesLayout puts two lines of text close to each other: labels have a padding.
type linesLayout struct{}

const lineStep = 20

func (linesLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(80, o[0].MinSize().Height+lineStep)
}

func (linesLayout) Layout(o []fyne.CanvasObject, s fyne.Size) {
	first, second := o[0].MinSize().Height, o[1].MinSize().Height
	y := (s.Height - lineStep - second) / 2
	o[0].Resize(fyne.NewSize(s.Width, first))
	o[0].Move(fyne.NewPos(0, y-1))
	o[1].Resize(fyne.NewSize(s.Width, second))
	o[1].Move(fyne.NewPos(0, y+lineStep))
}
