// Command icons draws resources/icons: `go run ./scripts/icons`. The same
// program gives the same bytes; the files are checked in, so that a build needs
// no drawing.
//
// An ingot is a bar seen from the front with its top face: two trapezoids. The
// tray's icons have their state in the lower right corner: nothing, a dot, or
// an exclamation mark. Those for macOS (-template) are black with transparency,
// which the menu bar tints (NSImage.template).
package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
)

const (
	traySize = 44 // two pixels a point in a menu bar 22 points high
	appSize  = 512
	fine     = 8 // samples a pixel and direction
)

type point struct{ x, y float64 }

// shape says where there is ink, in a square of side 1 with y downwards.
type shape func(point) bool

// layer is a shape with its colour; a clear one takes away what is below.
type layer struct {
	in    shape
	ink   color.NRGBA
	clear bool
}

func polygon(p ...point) shape {
	return func(q point) bool {
		in := false
		for i, j := 0, len(p)-1; i < len(p); j, i = i, i+1 {
			if (p[i].y > q.y) != (p[j].y > q.y) && q.x < (p[j].x-p[i].x)*(q.y-p[i].y)/(p[j].y-p[i].y)+p[i].x {
				in = !in
			}
		}
		return in
	}
}

func disc(c point, r float64) shape {
	return func(q point) bool { return (q.x-c.x)*(q.x-c.x)+(q.y-c.y)*(q.y-c.y) <= r*r }
}

var (
	front = polygon(point{.16, .44}, point{.84, .44}, point{.98, .84}, point{.02, .84})
	top   = polygon(point{.26, .18}, point{.74, .18}, point{.82, .38}, point{.18, .38})
	badge = point{.78, .74}
	bang  = func(q point) bool {
		return q.x > .74 && q.x < .82 && q.y > .58 && q.y < .77 || disc(point{.78, .85}, .045)(q)
	}
)

var (
	gold  = color.NRGBA{0xe3, 0x8b, 0x29, 0xff}
	light = color.NRGBA{0xf6, 0xb8, 0x5c, 0xff}
	green = color.NRGBA{0x2f, 0xa3, 0x6b, 0xff}
	red   = color.NRGBA{0xd6, 0x40, 0x3a, 0xff}
	white = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	black = color.NRGBA{0, 0, 0, 0xff}
)

// tray is a state's icon; a template has no colours, so that the mark is cut
// out of the bar.
func tray(state string, template bool) []layer {
	a, b := light, gold
	mark := map[string]color.NRGBA{"working": green, "failed": red}[state]
	sign := white
	if template {
		a, b, mark, sign = black, black, black, black
	}
	l := []layer{{in: top, ink: a}, {in: front, ink: b}}
	if state == "idle" {
		return l
	}
	l = append(l, layer{in: disc(badge, .29), clear: true}, layer{in: disc(badge, .22), ink: mark})
	if state == "failed" {
		l = append(l, layer{in: bang, ink: sign, clear: template})
	}
	return l
}

func draw(size int, layers []layer) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			m.SetNRGBA(x, y, sample(size, x, y, layers))
		}
	}
	return m
}

// sample is the mean of a pixel's parts.
func sample(size, x, y int, layers []layer) color.NRGBA {
	var r, g, b, a float64
	for i := range fine * fine {
		q := point{(float64(x) + (float64(i%fine)+.5)/fine) / float64(size), (float64(y) + (float64(i/fine)+.5)/fine) / float64(size)}
		var ink color.NRGBA
		for _, l := range layers {
			if !l.in(q) {
				continue
			}
			if ink = l.ink; l.clear {
				ink = color.NRGBA{}
			}
		}
		if ink.A > 0 {
			r, g, b, a = r+float64(ink.R), g+float64(ink.G), b+float64(ink.B), a+1
		}
	}
	if a == 0 {
		return color.NRGBA{}
	}
	return color.NRGBA{uint8(r/a + .5), uint8(g/a + .5), uint8(b/a + .5), uint8(255*a/(fine*fine) + .5)}
}

// icons are all files by name.
func icons() map[string]image.Image {
	out := map[string]image.Image{"ingot": draw(appSize, tray("idle", false))}
	for _, state := range []string{"idle", "working", "failed"} {
		out["tray-"+state] = draw(traySize, tray(state, false))
		out["tray-"+state+"-template"] = draw(traySize, tray(state, true))
	}
	return out
}

func main() {
	for name, m := range icons() {
		var b bytes.Buffer
		err := png.Encode(&b, m)
		if err == nil {
			err = os.WriteFile(filepath.Join("resources", "icons", name+".png"), b.Bytes(), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "icons:", err)
			os.Exit(1)
		}
	}
}
