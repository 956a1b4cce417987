// Package screen makes text of any origin safe to show. It imports no toolkit, so
// that its fuzz test is fast.
package screen

import (
	"fmt"
	"strings"
	"unicode"
)

// LineLimit is the number of bytes of a line that are shown.
const LineLimit = 2000

// Clean makes text of any origin safe to show: it removes terminal sequences,
// control characters and characters that change the direction of text, and cuts
// text that is longer than LineLimit, with a note of its length.
func Clean(s string) string {
	tail := ""
	if len(s) > LineLimit {
		tail = fmt.Sprintf(" … (%s in all)", Size(int64(len(s))))
		s = strings.ToValidUTF8(s[:LineLimit], "")
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

// escape returns the length of a terminal sequence at the start of s (ECMA-48:
// CSI and OSC), or 0 if there is none.
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

// Size formats a number of bytes in binary units.
func Size(n int64) string {
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
