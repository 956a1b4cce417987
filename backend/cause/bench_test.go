package cause

import (
	"os"
	"strings"
	"testing"
)

// An explanation of a whole boot takes milliseconds: a proof tries the fatal rules
// twice a second while the console speaks.
func BenchmarkExplain(b *testing.B) {
	p, err := Shipped()
	if err != nil {
		b.Fatal(err)
	}
	text := benchText(b)
	for b.Loop() {
		p.Explain(text)
	}
}

func benchText(b *testing.B) string {
	b.Helper()
	data, err := os.ReadFile("testdata/debian-12-arm64-uefi-proof.serial.log")
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}

// What beginnings rules out is no match.
func TestBeginnings(t *testing.T) {
	for expr, want := range map[string]string{`^(ab|Cd)x`: "aC", `^(?i)k`: "kK", `^\s*x`: "\t\n\f\r x", `^.x`: "", `ab`: "", `^a?`: "", `^`: ""} {
		set, got := beginnings(expr), ""
		for b := 0; set != nil && b < 128; b++ {
			if set[b] {
				got += string(rune(b))
			}
		}
		if len(got) != len(want) || !strings.ContainsAny(got+"-", want+"-") || (set == nil) != (want == "") {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}
