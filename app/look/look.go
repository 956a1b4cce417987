// Package look is what the app looks like: its colours in a light and a dark variant,
// sizes and marks of states, as a theme for Fyne. All pairs of text and ground have a
// contrast of 4.5:1 at least (WCAG 2.2, 1.4.3), which its test computes; a state has a
// shape beside its colour, and a word beside both.
package look

import (
	"image/color"

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
	Log        fyne.ThemeColorName = "ingot.log" // the ground of what a console printed
	LogText    fyne.ThemeColorName = "ingot.log.text"
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
	Log: both(0x0F1317, 0x0B0D10), LogText: both(0xD6DEE8, 0xC9D3DF),

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

// shapes are the marks of states as filled paths in a square of 24: Fyne gives fills a
// colour of its theme, and leaves lines as they are.
var shapes = map[api.State]string{
	api.Passed:    "M9.5 19.6L3.4 13.2l2.7-2.6 3.3 3.5L17.7 4.4l2.9 2.4z",
	api.Failed:    "M6.1 3.6L12 9.5l5.9-5.9 2.5 2.5L14.5 12l5.9 5.9-2.5 2.5L12 14.5l-5.9 5.9-2.5-2.5L9.5 12 3.6 6.1z",
	api.Running:   "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18zM12 5.6a6.4 6.4 0 1 1 0 12.8z",
	api.Stale:     "M17.6 6.3A8 8 0 1 0 19.7 14h-2.6a5.5 5.5 0 1 1-1.3-5.9L13 11h7V4z",
	api.Cancelled: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18zM12 5.6a6.4 6.4 0 1 1 0 12.8a6.4 6.4 0 1 1 0-12.8zM6.6 15.6l9-9 1.8 1.8-9 9z",
	api.Unknown:   "M5 10.5h14v3H5z",
}

// Shape returns the mark of a state in its colour, for a ground of text.
func Shape(s api.State) fyne.Resource {
	if s == api.Failed {
		return shape(s, Bad)
	}
	mark, _ := StateColours(s)
	return shape(s, mark)
}

// ShapeOnBack returns the mark of a state in its colour, for the ground of StateColours.
func ShapeOnBack(s api.State) fyne.Resource {
	mark, _ := StateColours(s)
	return shape(s, mark)
}

func shape(s api.State, colour fyne.ThemeColorName) fyne.Resource {
	path, ok := shapes[s]
	if !ok {
		s, path = api.Unknown, shapes[api.Unknown]
	}
	svg := `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24"><path d="` + path + `"/></svg>`
	return theme.NewColoredResource(fyne.NewStaticResource("state-"+s.String()+".svg", []byte(svg)), colour)
}
