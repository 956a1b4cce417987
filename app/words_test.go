package app

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ingot/backend/api"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                        "plain",
		"two\nlines\t and  more ":      "two lines and more",
		"bell\a esc\x1b[31mred":        "bell esc[31mred",
		"right\u202eot-left\u2066x":    "rightot-leftx",
		"mark\u200e \u061c end":        "mark end",
		"bad \xff byte":                "bad byte",
		"übel – ✓":                     "übel – ✓",
		"":                             "",
		"\u0000\u0001":                 "",
		strings.Repeat("ä", 10<<20>>1): strings.Repeat("ä", lineLimit-1) + "…",
	} {
		got := Line(in)
		if got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
		if utf8.RuneCountInString(got) > lineLimit {
			t.Errorf("%d characters", utf8.RuneCountInString(got))
		}
	}
}

func TestVerdict(t *testing.T) {
	ok := api.Cell{State: api.Passed}
	for want, row := range map[string]api.Row{
		"not built":                     {},
		"boots":                         {Boots: ok, Exported: ok},
		"not boot-tested":               {Exported: ok},
		"boots, published":              {Boots: ok, Published: ok},
		"boots, published (local only)": {Boots: ok, Published: api.Cell{State: api.Passed, Note: "local only"}},
		"failed: boots":                 {Exported: ok, Boots: api.Cell{State: api.Failed}},
		"building: kernel":              {Boots: api.Cell{State: api.Failed}, Kernel: api.Cell{State: api.Running}},
		"out of date: disk":             {Exported: api.Cell{State: api.Stale}, Boots: ok},
		"cancelled: kernel":             {Kernel: api.Cell{State: api.Cancelled}},
		"x.yaml:3: key: wrong":          {Configured: api.Cell{State: api.Failed, Message: "/home/a/x.yaml:3: key: wrong"}},
		"no file: here":                 {Configured: api.Cell{State: api.Failed, Message: "no file: here"}},
	} {
		if got := Verdict(row); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The lines of a message are words of one sentence, apart from each other.
func TestSentenceOfLines(t *testing.T) {
	r := api.Row{Guest: api.Cell{State: api.Failed, Message: "the guest lacks:\n  nosuch-gcc\nrun `ingot doctor`"}}
	if got, want := Sentence(r), "There is nowhere to build: the guest lacks: nosuch-gcc run `ingot doctor`"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
