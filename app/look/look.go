// Package look is what the app looks like: its colours in a light and a dark variant,
// sizes and marks of states, as a theme for Fyne. All pairs of text and ground have a
// contrast of 4.5:1 at least (WCAG 2.2, 1.4.3), which its test computes; a state has a
// shape beside its colour, and a word beside both.
package look

import (
	"image/color"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"ingot/backend/api"
)

// Names of colours beside those of Fyne, for its Theme.Color.
const (
	Surface    fyne.ThemeColorName = "ingot.surface" // of cards, lists and the sidebar
	Raised     fyne.ThemeColorName = "ingot.raised"
	Stroke     fyne.ThemeColorName = "ingot.stroke"
	Second     fyne.ThemeColorName = "ingot.second" // text that is read after the other
	Passed     fyne.ThemeColorName = "ingot.passed"
	PassedBack fyne.ThemeColorName = "ingot.passed.back"
	Active     fyne.ThemeColorName = "ingot.active"
	ActiveBack fyne.ThemeColorName = "ingot.active.back"
	Bad        fyne.ThemeColorName = "ingot.bad"
	BadBack    fyne.ThemeColorName = "ingot.bad.back"
	Old        fyne.ThemeColorName = "ingot.old"
	OldBack    fyne.ThemeColorName = "ingot.old.back"
)

// pair is a colour in the light and the dark variant.
type pair struct{ light, dark color.NRGBA }

func rgb(v uint32) color.NRGBA {
	return color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 0xff}
}

func both(light, dark uint32) pair { return pair{rgb(light), rgb(dark)} }

// clear is a text's colour as a thin layer on the ground.
func clear(of pair, alpha uint8) pair {
	of.light.A, of.dark.A = alpha, alpha
	return of
}

var (
	ground = both(0xF6F7F9, 0x111418)
	face   = both(0xFFFFFF, 0x1A1F26)
	raised = both(0xEDF0F4, 0x252C36)
	stroke = both(0xD3DAE2, 0x343E4B)
	text   = both(0x161B22, 0xE8ECF1)
	second = both(0x566170, 0xA6B0BD)
	accent = both(0xA85400, 0xFFA34D)
	onIt   = both(0xFFFFFF, 0x1B1207)
	chosen = both(0xFFF0DF, 0x33261A)
	passed = both(0x007A66, 0x4DF0D4)
	active = both(0x0A2A80, 0x8A9BF0)
	bad    = both(0x7A0016, 0xFF7466)
	old    = both(0x84680B, 0xFFCB3D)
)

var colours = map[fyne.ThemeColorName]pair{
	Surface: face, Raised: raised, Stroke: stroke, Second: second,
	Passed: passed, PassedBack: both(0xE4F5F1, 0x12312B), Active: active, ActiveBack: both(0xE6EBFA, 0x1D2443),
	Bad: bad, BadBack: both(0xFBE7E9, 0x3C1E19), Old: old, OldBack: both(0xFCF5DC, 0x382E13),

	theme.ColorNameBackground: ground, theme.ColorNameOverlayBackground: face, theme.ColorNameMenuBackground: face, theme.ColorNameHeaderBackground: raised,
	theme.ColorNameButton: raised, theme.ColorNameDisabledButton: raised, theme.ColorNameInputBackground: raised, theme.ColorNameInputBorder: stroke, theme.ColorNameSeparator: stroke,
	theme.ColorNameForeground: text, theme.ColorNamePlaceHolder: second, theme.ColorNameDisabled: second, theme.ColorNameHyperlink: accent,
	theme.ColorNamePrimary: accent, theme.ColorNameForegroundOnPrimary: onIt, theme.ColorNameFocus: clear(accent, 0x66), theme.ColorNameSelection: chosen,
	theme.ColorNameHover: clear(text, 0x14), theme.ColorNamePressed: clear(text, 0x28), theme.ColorNameScrollBar: clear(second, 0x80), theme.ColorNameScrollBarBackground: clear(second, 0x00),
	theme.ColorNameSuccess: passed, theme.ColorNameForegroundOnSuccess: face, theme.ColorNameWarning: old, theme.ColorNameForegroundOnWarning: face, theme.ColorNameError: bad, theme.ColorNameForegroundOnError: face,
}

var sizes = map[fyne.ThemeSizeName]float32{
	theme.SizeNamePadding: 4, theme.SizeNameInnerPadding: 8, theme.SizeNameText: 14, theme.SizeNameHeadingText: 22, theme.SizeNameSubHeadingText: 16, theme.SizeNameCaptionText: 12,
	theme.SizeNameInlineIcon: 18, theme.SizeNameInputRadius: 8, theme.SizeNameSelectionRadius: 8, theme.SizeNameScrollBarRadius: 4,
}

// Theme is the app's theme: fonts and icons are those of Fyne's own.
type Theme struct{}

var _ fyne.Theme = Theme{}

// Color returns a colour; one that the app does not choose is that of Fyne's theme.
func (Theme) Color(name fyne.ThemeColorName, variant fyne.ThemeVariant) color.Color {
	p, ok := colours[name]
	switch {
	case !ok:
		return theme.DefaultTheme().Color(name, variant)
	case variant == theme.VariantDark:
		return p.dark
	}
	return p.light
}

// Font returns Fyne's font.
func (Theme) Font(s fyne.TextStyle) fyne.Resource { return theme.DefaultTheme().Font(s) }

// Icon returns Fyne's icon.
func (Theme) Icon(name fyne.ThemeIconName) fyne.Resource { return theme.DefaultTheme().Icon(name) }

// Size returns a size in Fyne's units, which are independent of the display's scale.
func (Theme) Size(name fyne.ThemeSizeName) float32 {
	if n, ok := sizes[name]; ok {
		return n
	}
	return theme.DefaultTheme().Size(name)
}

// StateColours returns the names of the colours of a state's mark and of its ground.
func StateColours(s api.State) (mark, back fyne.ThemeColorName) {
	switch s {
	case api.Passed:
		return Passed, PassedBack
	case api.Failed:
		return Surface, Bad
	case api.Running:
		return Active, ActiveBack
	case api.Stale:
		return Old, OldBack
	}
	return Second, Raised
}

// shapes are the marks of states in a square of 24; STROKE stands for how lines are drawn.
var shapes = map[api.State]string{
	api.Passed:    `<path d="M5 13l5 5 9-11" STROKE/>`,
	api.Failed:    `<path d="M6 6l12 12M18 6L6 18" STROKE/>`,
	api.Running:   `<circle cx="12" cy="12" r="8" STROKE/><path d="M12 4a8 8 0 0 0 0 16z" fill="#000"/>`,
	api.Stale:     `<path d="M19 12a7 7 0 1 1-2-5M19 3v5h-5" STROKE/>`,
	api.Cancelled: `<circle cx="12" cy="12" r="8" STROKE/><path d="M7 17L17 7" STROKE/>`,
	api.Unknown:   `<path d="M6 12h12" STROKE/>`,
}

// Shape returns the mark of a state in its colour.
func Shape(s api.State) fyne.Resource {
	shape, ok := shapes[s]
	if !ok {
		s, shape = api.Unknown, shapes[api.Unknown]
	}
	mark, _ := StateColours(s)
	svg := `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24">` + strings.ReplaceAll(shape, "STROKE", `fill="none" stroke="#000" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"`) + `</svg>`
	return theme.NewColoredResource(fyne.NewStaticResource("state-"+s.String()+".svg", []byte(svg)), mark)
}
