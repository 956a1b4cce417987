package app

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"ingot/backend"
)

// lineLimit is the longest line of a menu, in characters: longer ones make the
// menu as wide as the screen.
const lineLimit = 90

// Line makes text of any origin fit for one line of a menu, a list or a
// notification: no control characters, none that change the direction of what
// follows, one space where there was white space, and no more than lineLimit
// characters.
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

// hidden are the characters without a shape of their own: those that turn the
// direction of writing (Unicode Annex 9: U+061C, U+200E, U+200F, U+202A to
// U+202E, U+2066 to U+2069) and the other format characters.
func hidden(r rune) bool { return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) }

// CellIn finds the first cell in a state and its name.
func CellIn(r backend.Row, want backend.State) (string, bool) {
	for _, c := range r.Cells() {
		if c.Cell.State == want {
			return c.Name, true
		}
	}
	return "", false
}

// Verdict says in few words how far a target is.
func Verdict(r backend.Row) string {
	if r.Configured.State == backend.Failed {
		return Place(r.Configured.Message)
	}
	if name, ok := CellIn(r, backend.Running); ok {
		return "building: " + name
	}
	if name, ok := CellIn(r, backend.Failed); ok {
		return "failed: " + name
	}
	if name, ok := CellIn(r, backend.Stale); ok {
		return "stale: " + name
	}
	switch {
	case r.Boots.State == backend.Passed && r.Published.State == backend.Passed:
		if r.Published.Note != "" {
			return "proven, published (" + r.Published.Note + ")"
		}
		return "proven, published"
	case r.Boots.State == backend.Passed:
		return "proven"
	case r.Exported.State == backend.Passed:
		return "not proven"
	}
	if name, ok := CellIn(r, backend.Cancelled); ok {
		return "cancelled: " + name
	}
	return "not built"
}

// Place shortens the path at the beginning of a message of the form
// /folder/file.yaml:3: what is wrong.
func Place(msg string) string {
	file, rest, ok := strings.Cut(msg, ":")
	if !ok || !strings.HasSuffix(file, ".yaml") {
		return msg
	}
	return filepath.Base(file) + ":" + rest
}

// VMState says more of a VM than that it runs, which one also does that never
// answers.
func VMState(v backend.VM) string {
	if v.Status == backend.VMRunning && v.Phase != "" {
		return string(v.Phase)
	}
	return v.Status.String()
}

// VMLine is what a VM is, or what is wrong with it.
func VMLine(v backend.VM) string {
	if v.Problem != "" {
		return v.Problem
	}
	return fmt.Sprintf("%s · %d CPUs · %.1f GiB memory · %.1f of %.0f GiB disk · %s", v.Arch, v.CPUs, gib(v.MemBytes), gib(v.DiskAllocated), gib(v.DiskBytes), v.VMType)
}

func gib(n uint64) float64 { return float64(n) / (1 << 30) }
