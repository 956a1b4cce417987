package window

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// logged shows a log in a window of its own.
func logged(t *testing.T, file string, live bool) (*stage, *logList) {
	t.Helper()
	p, news := acted()
	s := shown(t, p, "reality", news)
	var l *logList
	s.on(func() {
		l = newLogList(s.Window, file, live)
		s.body.Objects = []fyne.CanvasObject{l.all}
		s.body.Refresh()
	})
	return s, l
}

func (l *logList) waitFor(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); l.length() != n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d lines, not %d", l.length(), n)
		}
	}
}

func TestLogLong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "long.log")
	var text strings.Builder
	for i := range 120000 {
		fmt.Fprintf(&text, "[%7d] CC drivers/net/e1000_main.o\n", i)
	}
	write(t, file, text.String())
	s, l := logged(t, file, false)
	l.waitFor(t, 120000)
	s.until("120000 lines") // the last drawing
	s.on(func() {
		l.find.SetText("[  99999]")
		l.next()
	})
	s.until("line 100000 of 120000")
	s.until("[  99999] CC")
	s.on(func() {
		l.find.SetText("nowhere")
		l.next()
	})
	s.until("not found")
}

// A log that grows is followed; a line is shown when its end has come.
func TestLogFollowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "live.log")
	write(t, file, "one\ntw")
	s, l := logged(t, file, true)
	l.waitFor(t, 1)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("o\nthree\n"); err != nil {
		t.Fatal(err)
	}
	l.waitFor(t, 3)
	s.until("two")
	s.on(l.leave)
	<-l.stopped
}

// Hostile lines: huge, with terminal sequences, changing the direction.
func TestLogHostile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.log")
	write(t, file, strings.Repeat("x", 10<<20)+"\n\x1b[31mred\x1b[0m \x07bell \u202egnp.exe\n\xff\xfe not text\nlast without an end")
	s, l := logged(t, file, false)
	l.waitFor(t, 4)
	s.until("red bell gnp.exe")
	if first := l.line(0); len(first) > lineLimit+40 || !strings.Contains(first, "in all") {
		t.Errorf("a line of 10 MiB is shown with %d bytes: …%q", len(first), first[max(0, len(first)-40):])
	}
	if got := l.line(2); got != " not text" {
		t.Errorf("%q", got)
	}
}

// A log that is not there says so.
func TestLogMissing(t *testing.T) {
	_, gone := logged(t, filepath.Join(t.TempDir(), "none.log"), false)
	gone.waitFor(t, 1)
	if got := gone.line(0); !strings.Contains(got, "no such file") {
		t.Errorf("%q", got)
	}
}

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
		strings.Repeat("é", lineLimit): strings.Repeat("é", lineLimit/2) + " … (3.9 KiB in all)",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mred\u202e")
	f.Add("\x1b]0;x\x1b")
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if len(got) > lineLimit*4+40 {
			t.Errorf("%d bytes of %d", len(got), len(s))
		}
		for _, r := range got {
			if r < 0x20 || r == 0x202e || r == 0x7f {
				t.Errorf("%q keeps %U", got, r)
			}
		}
	})
}

// A line of ASCII is put together from glyphs, as wide as the toolkit's text;
// others are the toolkit's.
func TestLogLine(t *testing.T) {
	test.NewTempApp(t)
	l := newLogLine().(*logLine)
	l.Resize(fyne.NewSize(600, l.MinSize().Height))
	const text = "  CC      drivers/net/e1000_main.o"
	inked := func() (right int) {
		img := l.draw(int(l.ascii.Size().Width), int(l.MinSize().Height))
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if _, _, _, a := img.At(x, y).RGBA(); a > 0 {
					right = max(right, x)
				}
			}
		}
		return right
	}
	setLogLine(l, text, theme.ColorNameForeground)
	if !l.ascii.Visible() || l.other.Visible() {
		t.Error("a line of ASCII is left to the toolkit")
	}
	l.other.Text = text
	if got, want := inked(), int(l.other.MinSize().Width); got < want*95/100 || got > want*105/100 {
		t.Errorf("it ends at pixel %d, the toolkit's at %d", got, want)
	}
	setLogLine(l, "short", theme.ColorNameError)
	if got := inked(); got > 50 {
		t.Errorf("something of the line before is at pixel %d", got)
	}
	setLogLine(l, "日本", theme.ColorNameForeground)
	if l.ascii.Visible() || !l.other.Visible() || l.other.Text != "日本" {
		t.Error("a line in another script is not left to the toolkit")
	}
}
