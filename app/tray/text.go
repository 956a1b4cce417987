package tray

import (
	"fmt"
	"strings"
	"time"

	"ingot/app"
)

// left formats a remaining time in minutes or hours.
func left(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Minute:
		return "less than a minute left"
	case d < 90*time.Minute:
		return fmt.Sprintf("about %d min left", int((d+time.Minute-1)/time.Minute))
	}
	return fmt.Sprintf("about %.1f h left", d.Hours())
}

// nameLimit is the length of a name in the menu, in characters; lineLimit that of a line
// with what went wrong: the longest line makes the menu as wide as itself.
const (
	nameLimit = 32
	lineLimit = 60
)

// name makes a name safe for a line, and cuts a long one in the middle: what differs
// between names is often at their end.
func name(s string) string {
	r := []rune(app.Line(s))
	if len(r) <= nameLimit {
		return string(r)
	}
	half := (nameLimit - 1) / 2
	return string(r[:half]) + "…" + string(r[len(r)-half:])
}

// line makes a text safe for a line, and cuts it at its end.
func line(s string) string {
	r := []rune(app.Line(s))
	if len(r) <= lineLimit {
		return string(r)
	}
	return string(r[:lineLimit-1]) + "…"
}

// join joins the parts that are not empty.
func join(parts ...string) string {
	var have []string
	for _, p := range parts {
		if p != "" {
			have = append(have, p)
		}
	}
	return strings.Join(have, " · ")
}
