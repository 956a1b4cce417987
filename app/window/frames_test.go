//go:build frames

// With this tag the package's tests run on a real driver and display, and there
// is one: what a frame costs. bench/app.sh runs it.
package window

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	fyneapp "fyne.io/fyne/v2/app"

	"ingot/app/feed"
)

func init() { runtime.LockOSThread() } // the main goroutine is the toolkit's

func TestMain(m *testing.M) {
	app := fyneapp.NewWithID("org.ingot.app.frames")
	app.Lifecycle().SetOnStarted(func() { go func() { os.Exit(m.Run()) }() })
	app.Run()
}

const (
	linesASecond = 10000
	linesBefore  = 900000 // that the log has when it is opened
	linesInAll   = 1000000
	aFrame       = 3 * time.Millisecond // of the main goroutine's absence; less is no frame of a window of this size
	fewFrames    = 30                   // of ten seconds: fewer were not drawn at all
)

// A followed log of a million lines, of which the last 100,000 come at 10,000 a second:
// how long the main goroutine is longest for a frame, and that every line is there.
func TestFrames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "build.log")
	var before strings.Builder
	for i := range linesBefore {
		fmt.Fprintf(&before, compilerLine, i)
	}
	write(t, file, before.String())
	p, _ := acted()
	var w *Window
	var l *logList
	fyne.DoAndWait(func() {
		w = newWindow(fyne.CurrentApp(), p, p, feed.New(p), OnMain)
		l = newLogList(w, file, true)
		w.body.Objects = []fyne.CanvasObject{l.all}
		w.Show()
	})
	time.Sleep(2 * time.Second) // the first frames load fonts
	for end := time.Now().Add(time.Minute); l.length() < linesBefore && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	longest := make(chan []time.Duration)
	go func() { longest <- absences(ctx) }()
	grow(t, file)
	for end := time.Now().Add(time.Second); l.length() < linesInAll && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	frames := <-longest
	if l.length() != linesInAll {
		t.Errorf("%d lines a second after the last of %d", l.length(), linesInAll)
	}
	fyne.DoAndWait(func() {
		if got := l.count.Text; got != fmt.Sprint(linesInAll, " lines") {
			t.Errorf("the window says %q", got)
		}
		l.leave()
		w.End()
	})
	w.Wait()
	if len(frames) < fewFrames {
		t.Fatalf("%d frames: the window was not drawn", len(frames))
	}
	slices.Sort(frames)
	p95 := frames[len(frames)*95/100]
	t.Logf("log of %d lines at %d lines/s: %d frames, median %.1f ms, p95 %.1f ms, longest %.1f ms", linesInAll, linesASecond, len(frames), ms(frames[len(frames)/2]), ms(p95), ms(frames[len(frames)-1]))
	most := 33.0
	if v, err := strconv.ParseFloat(os.Getenv("LIMIT_FRAME"), 64); err == nil {
		most = v
	}
	if ms(p95) > most {
		t.Errorf("the 95th percentile is above %g ms", most)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// absences are the times between two turns of the main goroutine, as far as they
// are long enough for a frame.
func absences(ctx context.Context) []time.Duration {
	const pause = time.Millisecond
	var out []time.Duration
	last := time.Now()
	for ctx.Err() == nil {
		time.Sleep(pause)
		fyne.DoAndWait(func() {
			now := time.Now()
			if d := now.Sub(last) - pause; d >= aFrame {
				out = append(out, d)
			}
			last = now
		})
	}
	return out
}

// grow writes the lines as a busy build does.
func grow(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const batch = linesASecond / 100
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := linesBefore; i < linesInAll; {
		<-tick.C
		for range batch {
			fmt.Fprintf(f, compilerLine, i)
			i++
		}
	}
}

// compilerLine is a line of a compiler's log.
const compilerLine = "  CC      drivers/net/ethernet/intel/e1000/e1000_%06d.o\n"

// A click shows its page soon: the time in which the main goroutine makes the page and
// draws the next frame.
func TestClicks(t *testing.T) {
	const most = 100.0 // ms
	p, _ := acted()
	var w *Window
	fyne.DoAndWait(func() {
		w = newWindow(fyne.CurrentApp(), p, p, feed.New(p), OnMain)
		w.Show()
	})
	time.Sleep(2 * time.Second)
	for _, page := range []string{pageHome, pageArtifacts, pageVMs, pageCheck, pageBuilds, pageTargets, pageSettings, pageReality} {
		var took []time.Duration
		for range 7 {
			fyne.DoAndWait(func() { w.Go(Route{Page: pageHome}) })
			time.Sleep(100 * time.Millisecond)
			began := time.Now()
			fyne.DoAndWait(func() { w.Go(Route{Page: page}) })
			fyne.DoAndWait(func() {}) // after the frame
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("click to %s: %.1f ms (median of %d, longest %.1f)", page, ms(took[len(took)/2]), len(took), ms(took[len(took)-1]))
		if ms(took[len(took)/2]) > most {
			t.Errorf("%s takes longer than %.0f ms", page, most)
		}
	}
	fyne.DoAndWait(w.End)
	w.Wait()
}
