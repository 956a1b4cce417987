package app

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"ingot/backend/api"
	"ingot/backend/vm"
)

// lineLimit is the length of the longest line of a menu, in characters. The
// longest line determines the width of the menu.
const lineLimit = 90

// Line makes text of any origin safe for one line of a menu, a list or a
// notification: it removes control characters and characters that change the
// direction of the text, replaces white space by single spaces, and cuts the
// text after lineLimit characters.
func Line(s string) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = n > 0
			continue
		case unicode.IsControl(r), hidden(r), r == unicode.ReplacementChar:
			continue
		}
		if space {
			b.WriteByte(' ')
			n++
		}
		if space = false; n >= lineLimit-1 {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// hidden reports whether a character is invisible: those that change the
// direction of text (Unicode Annex 9: U+061C, U+200E, U+200F, U+202A to U+202E,
// U+2066 to U+2069) and the other format characters.
func hidden(r rune) bool { return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) }

// CellIn returns the first cell in a state, and its name.
func CellIn(r api.Row, want api.State) (string, bool) {
	for _, c := range r.Cells() {
		if c.Cell.State == want {
			return c.Name, true
		}
	}
	return "", false
}

// Verdict summarises the state of a target in a few words.
func Verdict(r api.Row) string {
	if r.Configured.State == api.Failed {
		return ShortPath(r.Configured.Message)
	}
	if name, ok := CellIn(r, api.Running); ok {
		return "building: " + api.CellTitle(name)
	}
	if name, ok := CellIn(r, api.Failed); ok {
		return "failed: " + api.CellTitle(name)
	}
	if name, ok := CellIn(r, api.Stale); ok {
		return "out of date: " + api.CellTitle(name)
	}
	switch {
	case r.Boots.State == api.Passed && r.Published.State == api.Passed:
		if r.Published.Note != "" {
			return "boots, published (" + r.Published.Note + ")"
		}
		return "boots, published"
	case r.Boots.State == api.Passed:
		return "boots"
	case r.Exported.State == api.Passed:
		return "not boot-tested"
	}
	if name, ok := CellIn(r, api.Cancelled); ok {
		return "cancelled: " + api.CellTitle(name)
	}
	return "not built"
}

// ShortPath shortens the path at the start of a message of the form
// "/folder/file.yaml:3: what is wrong".
func ShortPath(msg string) string {
	file, rest, ok := strings.Cut(msg, ":")
	if !ok || !strings.HasSuffix(file, ".yaml") {
		return msg
	}
	return filepath.Base(file) + ":" + rest
}

// VMState returns the state of a VM; for a running VM that does not answer, it
// includes the phase.
func VMState(v vm.Instance) string {
	if v.Status == vm.Running && v.Phase != "" {
		return string(v.Phase)
	}
	return v.Status.String()
}

// VMLine describes a VM in one line, or the problem with it.
func VMLine(v vm.Instance) string {
	if v.Problem != "" {
		return v.Problem
	}
	return fmt.Sprintf("%s · %d CPUs · %.1f GiB memory · %.1f of %.0f GiB disk · %s", v.Arch, v.CPUs, gib(v.MemBytes), gib(v.DiskAllocated), gib(v.DiskBytes), v.VMType)
}

func gib(n uint64) float64 { return float64(n) / (1 << 30) }
