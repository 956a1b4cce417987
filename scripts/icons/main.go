// Command icons draws resources/icons and scripts/bundle/ingot.icns:
// `go run ./scripts/icons`. The same
// program gives the same bytes; the files are checked in, so that a build needs
// no drawing.
//
// An ingot is a bar seen from the front with its top face: two trapezoids. The
// tray's icons have their state in the lower right corner: nothing, a dot, or
// an exclamation mark. Those for macOS (-template) are black with transparency,
// which the menu bar tints (NSImage.template).
//
// The icon of a Mac's app is a tile with round corners, in the grid of Apple's template:
// 824 of 1024 pixels, corners of 185; anything else is put on a grey tile by macOS 26.
// .icns is a list of PNGs by size (libicns' table of types).
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
)

const (
	traySize = 44 // two pixels a point in a menu bar 22 points high
	// systray shows a template at 16 points; two pixels each keep it sharp on every screen
	templateSize = 32
	appSize      = 512
	fine         = 8 // samples a pixel and direction
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

// tile is the ground of the Mac's icon.
func tile(q point) bool {
	const edge, side, round = 100.0 / 1024, 824.0 / 1024, 185.0 / 1024
	x, y := q.x-edge, q.y-edge
	if x < 0 || y < 0 || x > side || y > side {
		return false
	}
	dx, dy := max(round-x, x-(side-round), 0), max(round-y, y-(side-round), 0)
	return dx*dx+dy*dy <= round*round
}

// within is a shape made smaller around the middle.
func within(s shape, scale float64) shape {
	return func(q point) bool { return s(point{(q.x-.5)/scale + .5, (q.y-.5)/scale + .5}) }
}

// mac is the app's icon on a Mac.
var mac = []layer{{in: tile, ink: slate}, {in: within(top, .56), ink: light}, {in: within(front, .56), ink: gold}}

// icnsTypes are the entries of an .icns by their size in pixels; the sizes that stand
// twice are those of a smaller icon on a Retina display too.
var icnsTypes = []struct {
	name string
	size int
}{{"icp4", 16}, {"icp5", 32}, {"ic11", 32}, {"ic12", 64}, {"ic07", 128}, {"ic08", 256}, {"ic13", 256}, {"ic09", 512}, {"ic14", 512}, {"ic10", 1024}}

// icns draws the icon of a Mac's app.
func icns() ([]byte, error) {
	drawn := map[int][]byte{}
	var body []byte
	entry := func(name string, data []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte(name), uint32(8+len(data))), data...)
	}
	for _, t := range icnsTypes {
		if drawn[t.size] == nil {
			var b bytes.Buffer
			if err := png.Encode(&b, draw(t.size, mac)); err != nil {
				return nil, err
			}
			drawn[t.size] = b.Bytes()
		}
		body = append(body, entry(t.name, drawn[t.size])...)
	}
	return entry("icns", body), nil
}

var (
	slate = color.NRGBA{0x24, 0x2b, 0x33, 0xff}
	gold  = color.NRGBA{0xe3, 0x8b, 0x29, 0xff}
	light = color.NRGBA{0xf6, 0xb8, 0x5c, 0xff}
	blue  = color.NRGBA{0x3b, 0x8f, 0xe0, 0xff} // green would read as: all is well
	red   = color.NRGBA{0xd6, 0x40, 0x3a, 0xff}
	white = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	black = color.NRGBA{0, 0, 0, 0xff}
)

// tray is a state's icon; a template has no colours, so that the mark is cut
// out of the bar.
func tray(state string, template bool) []layer {
	a, b := light, gold
	mark := map[string]color.NRGBA{"working": blue, "failed": red}[state]
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
		out["tray-"+state+"-template"] = draw(templateSize, tray(state, true))
	}
	return out
}

func main() {
	all, err := icns()
	if err == nil {
		err = os.WriteFile(filepath.Join("scripts", "bundle", "ingot.icns"), all, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "icons:", err)
		os.Exit(1)
	}
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
