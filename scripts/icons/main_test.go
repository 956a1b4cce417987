package main

import (
	"bytes"
	"encoding/binary"
	"image/png"
	"os"
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

// The Mac's icon that ships is what the generator draws, and has all sizes.
func TestMacIcon(t *testing.T) {
	want, err := icns()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../bundle/ingot.icns")
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("scripts/bundle/ingot.icns is not what the generator draws: go run ./scripts/icons (%v)", err)
	}
	if string(got[:4]) != "icns" || int(binary.BigEndian.Uint32(got[4:])) != len(got) {
		t.Fatalf("%q", got[:8])
	}
	n := 0
	for at := 8; at < len(got); n++ {
		name, size := string(got[at:at+4]), int(binary.BigEndian.Uint32(got[at+4:]))
		img, err := png.DecodeConfig(bytes.NewReader(got[at+8 : at+size]))
		if err != nil || name != icnsTypes[n].name || img.Width != icnsTypes[n].size || img.Height != img.Width {
			t.Errorf("%s: %+v, %v", name, img, err)
		}
		at += size
	}
	if n != len(icnsTypes) {
		t.Errorf("%d entries", n)
	}
	if tile(point{.1, .1}) || !tile(point{.1, .5}) || !tile(point{.5, .5}) || tile(point{.05, .5}) {
		t.Error("the tile")
	}
}
