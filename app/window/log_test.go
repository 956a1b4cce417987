package window

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"ingot/app/screen"
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

// Find counts and goes both ways, errors have a jump of their own, and a selected line is
// copied alone.
func TestLogFind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "some.log")
	write(t, file, "make one\nCC strerror.o\nmake two\nfatal: no rule\nmake three\n")
	s, l := logged(t, file, false)
	l.waitFor(t, 5)
	press := func(f func(), want string) {
		t.Helper()
		s.on(f)
		s.until(want)
	}
	s.on(func() { l.find.SetText("MAKE") })
	press(l.next, "1 of 3 · line 1 of 5")
	press(l.next, "2 of 3 · line 3 of 5")
	press(l.previous, "1 of 3 · line 1 of 5")
	press(l.previous, "3 of 3 · line 5 of 5")
	press(l.next, "1 of 3 · line 1 of 5")
	press(l.nextError, "line 4 of 5")
	s.tap("Copy line")
	var got string
	s.on(func() { got = fyne.CurrentApp().Clipboard().Content() })
	if got != "fatal: no rule" {
		t.Errorf("copied %q", got)
	}
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
	if first := l.line(0); len(first) > screen.LineLimit+40 || !strings.Contains(first, "in all") {
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

// Every glyph is drawn whole in a line of the toolkit's height, at each scale: the
// underscore lies lowest.
func TestGlyphsAreWhole(t *testing.T) {
	test.NewTempApp(t)
	l := newLogLine().(*logLine)
	for _, scale := range []float64{1, 1.25, 1.5, 2, 3} {
		g := glyphsOf(float64(l.other.TextSize) * scale)
		height := int(float64(l.other.MinSize().Height) * scale)
		for c := byte(' '); c <= '~'; c++ {
			ink := func(h int) (sum int) {
				img := image.NewRGBA(image.Rect(0, 0, 64, h))
				g.draw(img, string(c), color.Black)
				for i := 3; i < len(img.Pix); i += 4 {
					sum += int(img.Pix[i])
				}
				return sum
			}
			if got, want := ink(height), ink(4*height); got != want || c == '_' && want == 0 {
				t.Errorf("scale %v: %q has %d of %d ink in %d pixels", scale, c, got, want, height)
			}
		}
	}
}

// Words of trouble are coloured, names that contain them are not.
func TestColourOf(t *testing.T) {
	for line, want := range map[string]fyne.ThemeColorName{
		"  HOSTCC  scripts/dtc/libfdt/fdt_strerror.o": theme.ColorNameForeground,
		"  CC      kernel/panic.o":                    theme.ColorNameForeground,
		"  CC      lib/error-inject.o":                theme.ColorNameForeground,
		"drivers/failed/x.c":                          theme.ColorNameForeground,
		"main.c:3:5: error: expected ';'":             theme.ColorNameError,
		"make: *** [Makefile:3: all] Error 2":         theme.ColorNameError,
		"Kernel panic - not syncing: x":               theme.ColorNameError,
		"[FAILED] Failed to start x.service.":         theme.ColorNameError,
		"it failed.":                                  theme.ColorNameError,
		"main.c:3:5: warning: unused":                 theme.ColorNameWarning,
		"WARN: x":                                     theme.ColorNameWarning,
		"forewarned":                                  theme.ColorNameForeground,
	} {
		if got := colourOf(line); got != want {
			t.Errorf("%q is %s", line, got)
		}
	}
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
