package look

import (
	"image/color"
	"math"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"ingot/backend/api"
)

// luminance is the relative luminance of a colour (WCAG 2.2).
func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	part := func(v uint32) float64 {
		x := float64(v) / 0xffff
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return 0.2126*part(r) + 0.7152*part(g) + 0.0722*part(b)
}

func contrast(a, b color.Color) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Each text can be read on each ground on which it is shown, in both variants.
func TestContrast(t *testing.T) {
	if got := contrast(color.White, color.Black); math.Abs(got-21) > 0.01 {
		t.Fatalf("white on black is %.2f:1", got)
	}
	if got := contrast(rgb(0xE3E3E3), color.White); got > 1.4 { // what Fyne's own theme shows of a disabled label
		t.Fatalf("the control is %.2f:1", got)
	}
	grounds := []fyne.ThemeColorName{theme.ColorNameBackground, Surface, Raised, theme.ColorNameSelection}
	var pairs [][2]fyne.ThemeColorName
	for _, g := range grounds {
		pairs = append(pairs, [2]fyne.ThemeColorName{theme.ColorNameForeground, g}, [2]fyne.ThemeColorName{Second, g})
	}
	for _, g := range grounds[:2] {
		for _, c := range []fyne.ThemeColorName{theme.ColorNamePrimary, theme.ColorNameHyperlink, theme.ColorNameDisabled, theme.ColorNamePlaceHolder, Passed, Active, Bad, Old} {
			pairs = append(pairs, [2]fyne.ThemeColorName{c, g})
		}
	}
	pairs = append(pairs, [2]fyne.ThemeColorName{LogText, Log})
	pairs = append(pairs, [2]fyne.ThemeColorName{theme.ColorNameForegroundOnPrimary, theme.ColorNamePrimary}, [2]fyne.ThemeColorName{theme.ColorNameForegroundOnError, theme.ColorNameError},
		[2]fyne.ThemeColorName{theme.ColorNameForegroundOnSuccess, theme.ColorNameSuccess}, [2]fyne.ThemeColorName{theme.ColorNameForegroundOnWarning, theme.ColorNameWarning}, [2]fyne.ThemeColorName{theme.ColorNameDisabled, theme.ColorNameDisabledButton})
	for _, s := range []api.State{api.Unknown, api.Running, api.Passed, api.Failed, api.Stale, api.Cancelled} {
		mark, back := StateColours(s)
		pairs = append(pairs, [2]fyne.ThemeColorName{mark, back})
	}
	for _, p := range pairs {
		for name, v := range map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark} {
			if got := contrast(Theme{}.Color(p[0], v), Theme{}.Color(p[1], v)); got < 4.5 {
				t.Errorf("%s: %s on %s is %.2f:1", name, p[0], p[1], got)
			}
		}
	}
}

// Each state has a shape of its own, since not everybody can tell colours apart.
func TestShapes(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(Theme{}) // resources take their colours from it
	seen := map[string]api.State{}
	for _, s := range []api.State{api.Unknown, api.Running, api.Passed, api.Failed, api.Stale, api.Cancelled} {
		shape := shapes[s]
		if len(ShapeOnBack(s).Content()) == 0 {
			t.Errorf("%s has no mark on its ground", s)
		}
		if other, taken := seen[shape]; taken || shape == "" {
			t.Errorf("%s has the shape of %s: %q", s, other, shape)
		}
		seen[shape] = s
		if len(Shape(s).Content()) == 0 {
			t.Errorf("%s has no mark", s)
		}
	}
}
