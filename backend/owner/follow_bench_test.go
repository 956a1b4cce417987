package owner

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ingot/backend/event"
	"ingot/backend/hometest"
	"ingot/backend/status"
)

// lateness is how long each line of a log took to a follower; it fails on one
// that is missing, comes twice or out of turn.
type lateness struct {
	took []time.Duration
	err  error
}

func (l *lateness) read(r io.Reader) {
	for sc := bufio.NewScanner(r); sc.Scan(); {
		var n int
		var at int64
		if got, _ := fmt.Sscanf(sc.Text(), "line %d at %d", &n, &at); got != 2 {
			continue // a file's name, the journal
		}
		if n != len(l.took) && l.err == nil {
			l.err = fmt.Errorf("line %d came where %d was due", n, len(l.took))
		}
		l.took = append(l.took, time.Since(time.Unix(0, at)))
	}
}

// BenchmarkFollow is 10,000 lines a second of a build's log, as many seconds as
// there are rounds, and three followers, each of which must get every line once.
func BenchmarkFollow(b *testing.B) {
	const rate, burst, followers = 10_000, 100, 3
	home := hometest.Ledger(b, 1, 0)
	bd, err := home.Ledger.Build("t000", "20260101-000000-0000")
	if err != nil {
		b.Fatal(err)
	}
	j, err := event.OpenJournal(bd.JournalPath(), "t000", bd.ID, nil)
	if err != nil {
		b.Fatal(err)
	}
	pid, began := event.Self()
	if err := j.Add(event.Event{Kind: event.BuildStarted, PID: pid, PIDStart: began}); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(bd.LogPath("kernel.log")), 0o700); err != nil {
		b.Fatal(err)
	}
	log, err := os.Create(bd.LogPath("kernel.log"))
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	seen := make([]lateness, followers)
	for i := range seen {
		r, w := io.Pipe()
		wg.Go(func() { seen[i].read(r) })
		wg.Go(func() {
			err := status.Logs(context.Background(), home, status.LogOptions{Target: "t000", Follow: true}, w)
			_ = w.CloseWithError(err) // nil is the end
		})
	}
	n := 0
	tick := time.NewTicker(time.Second * burst / rate)
	for b.Loop() {
		for range rate / burst {
			<-tick.C
			var lines strings.Builder
			for range burst {
				fmt.Fprintf(&lines, "line %d at %d\n", n, time.Now().UnixNano())
				n++
			}
			if _, err := log.WriteString(lines.String()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := j.Add(event.Event{Kind: event.BuildFinished, Outcome: event.Passed}); err != nil {
		b.Fatal(err)
	}
	wg.Wait()
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for i := range seen {
		if seen[i].err != nil || len(seen[i].took) != n {
			b.Fatalf("follower %d got %d of %d lines: %v", i, len(seen[i].took), n, seen[i].err)
		}
		took = append(took, seen[i].took...)
	}
	slices.Sort(took)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-median")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-most")
}
