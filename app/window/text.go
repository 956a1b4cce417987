package window

import (
	"fmt"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"ingot/app"
	"ingot/app/feed"
	"ingot/app/look"
	"ingot/app/screen"
	"ingot/backend/api"
)

func clean(s string) string { return screen.Clean(s) }

// cleanLines is clean for a text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

func size(n int64) string { return screen.Size(n) }

// formatDuration formats a duration with one decimal at most.
func formatDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// formatTime formats a time in the user's zone; "" for the zero time.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2 Jan 2006 15:04")
}

// short returns the start of a digest.
func short(digest string) string { return digest[:min(12, len(digest))] }

// summary returns the numbers of running, ready and failed targets in one
// line.
func summary(s feed.State) string {
	if !s.Live {
		if s.Problem == "" {
			return "Connecting to Ingot…"
		}
		return "No connection: " + clean(s.Problem)
	}
	proven, failed := 0, 0
	for _, r := range s.Rows {
		if r.Boots.State == api.Passed {
			proven++
		}
		if _, ok := app.CellIn(r, api.Failed); ok {
			failed++
		}
	}
	return fmt.Sprintf("%d building · %d ready · %d failed · %d targets", len(s.Builds), proven, failed, len(s.Rows))
}

// icon shows a state by shape and colour; its name is always beside it.
func icon(s api.State) fyne.Resource { return look.Shape(s) }

// about tells in minutes or hours how long something still takes.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute left"
	case d < 90*time.Minute:
		n := int(d.Round(time.Minute) / time.Minute)
		if n > 20 {
			n = (n + 2) / 5 * 5
		}
		return fmt.Sprintf("about %d min left", n)
	}
	return fmt.Sprintf("about %.1f h left", d.Hours())
}

// buildLine tells which step of a build runs, and how far it is.
func buildLine(b feed.Build) string {
	switch p, ok := b.Percent(); {
	case b.Started.IsZero():
		return "waits for another build"
	case b.Step == "":
		return "begins"
	case ok:
		return fmt.Sprintf("%s, %d %%", b.Step, p)
	}
	return b.Step
}

// progressLine describes the progress of a build.
func progressLine(b feed.Build) string {
	if b.Started.IsZero() {
		return "waits"
	}
	line := b.Step
	if p, ok := b.Percent(); ok {
		line += fmt.Sprintf(" %d %%", p)
	}
	if b.ETA > 0 {
		line += ", " + about(b.ETA)
	}
	if line == "" {
		line = "begins"
	}
	return line
}
