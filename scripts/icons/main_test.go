package main

import (
	"bytes"
	"image/png"
	"testing"

	"ingot/resources"
)

// The files that ship are what the generator draws, and each state looks
// different.
func TestIconsAreDrawn(t *testing.T) {
	seen := map[string]string{}
	for name, m := range icons() {
		shipped, err := resources.FS.ReadFile("icons/" + name + ".png")
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(shipped))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Bounds() != m.Bounds() {
			t.Fatalf("%s: %v, drawn %v", name, got.Bounds(), m.Bounds())
		}
		for y := range m.Bounds().Dy() {
			for x := range m.Bounds().Dx() {
				if r, g, b, a := got.At(x, y).RGBA(); true {
					if wr, wg, wb, wa := m.At(x, y).RGBA(); r != wr || g != wg || b != wb || a != wa {
						t.Fatalf("%s is not what the generator draws: go run ./scripts/icons", name)
					}
				}
			}
		}
		if other := seen[string(shipped)]; other != "" {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[string(shipped)] = name
	}
	if len(seen) != 7 {
		t.Errorf("%d icons", len(seen))
	}
}
