package window

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"ingot/app"
	"ingot/app/feed"
	"ingot/backend"
)

// lineLimit is how much of a line is shown, in bytes; the file has it whole.
const lineLimit = 2000

// clean makes text of any origin fit to be shown: terminal sequences, control
// characters and those that change the direction of writing are taken out, and
// what is longer than lineLimit is cut with a note of its length.
func clean(s string) string {
	tail := ""
	if len(s) > lineLimit {
		tail = fmt.Sprintf(" … (%s in all)", size(int64(len(s))))
		s = strings.ToValidUTF8(s[:lineLimit], "")
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n := escape(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := decode(s[i:])
		i += n
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + tail
}

func decode(s string) (rune, int) {
	for i, r := range s { // the first rune; an invalid byte is a replacement of length 1
		if i == 0 {
			n := len(string(r))
			if r == unicode.ReplacementChar && !strings.HasPrefix(s, "\uFFFD") {
				n = 1
			}
			return r, n
		}
	}
	return 0, 1
}

// escape is the length of a terminal sequence at the start of s (ECMA-48: CSI
// and OSC), 0 when there is none.
func escape(s string) int {
	if len(s) < 2 || s[0] != 0x1b {
		return 0
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']':
		for i := 2; i < len(s); i++ {
			if s[i] == 7 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	}
	return 2
}

// size writes bytes for people, in binary units.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for ; f >= unit && i < 4; i++ {
		f /= unit
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[i])
}

// span writes a duration without fractions that nobody needs.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// moment writes a time in the user's zone; "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2 Jan 2006 15:04")
}

// short is the beginning of a digest.
func short(digest string) string { return digest[:min(12, len(digest))] }

// summary is the honest line: what runs, what is proven, what failed.
func summary(s feed.State) string {
	if !s.Live {
		if s.Problem == "" {
			return "Looking for Ingot's owner…"
		}
		return "No connection: " + clean(s.Problem)
	}
	proven, failed := 0, 0
	for _, r := range s.Rows {
		if r.Boots.State == backend.Passed {
			proven++
		}
		if _, ok := app.CellIn(r, backend.Failed); ok {
			failed++
		}
	}
	return fmt.Sprintf("%d building · %d proven · %d failed · %d targets", len(s.Builds), proven, failed, len(s.Rows))
}

// icon shows a state by shape and colour; its name stands beside it always.
func icon(s backend.State) fyne.Resource {
	switch s {
	case backend.Passed:
		return theme.NewSuccessThemedResource(theme.ConfirmIcon())
	case backend.Failed:
		return theme.NewErrorThemedResource(theme.ErrorIcon())
	case backend.Running:
		return theme.NewPrimaryThemedResource(theme.MediaPlayIcon())
	case backend.Stale:
		return theme.NewWarningThemedResource(theme.HistoryIcon())
	case backend.Cancelled:
		return theme.NewDisabledResource(theme.CancelIcon())
	}
	return theme.NewDisabledResource(theme.QuestionIcon())
}

// progressLine says how far a build is.
func progressLine(b feed.Build) string {
	if b.Started.IsZero() {
		return "waits"
	}
	line := b.Step
	if p, ok := b.Percent(); ok {
		line += fmt.Sprintf(" %d %%", p)
	}
	if b.ETA > 0 {
		line += ", about " + b.ETA.Round(time.Second).String() + " left"
	}
	if line == "" {
		line = "begins"
	}
	return line
}
