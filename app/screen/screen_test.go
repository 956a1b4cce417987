package screen

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä 日本":                   "plain ä 日本",
		"\x1b]0;title\x07after":        "after",
		"\x1b]8;;http://x\x1b\\link":   "link",
		"\x1b[1;31mred\x1b[0m":         "red",
		"\x1b[":                        "",
		"\x1bMup":                      "up",
		"a\tb":                         "a    b",
		"a\u2066b\u202ec\u200fd":       "abcd",
		"a\x00b\x7fc\u0085d":           "abcd",
		"bad \xc3\x28":                 "bad (",
		strings.Repeat("é", LineLimit): strings.Repeat("é", LineLimit/2) + " … (3.9 KiB in all)",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mred\u202e")
	f.Add("\x1b]0;x\x1b")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if len(got) > LineLimit*4+40 {
			t.Errorf("%d bytes of %d", len(got), len(s))
		}
		for _, r := range got {
			if r < 0x20 || r == 0x202e || r == 0x7f {
				t.Errorf("%q keeps %U", got, r)
			}
		}
	})
}
