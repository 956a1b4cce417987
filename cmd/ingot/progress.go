package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"golang.org/x/term"

	"ingot/backend"
)

// view says how events are shown.
type view struct {
	json bool // NDJSON on standard output
	why  bool // with the reason of each step
}

// printer returns a function that shows events – bars on a terminal, plain
// lines in a pipe, NDJSON when asked – and one that ends the show.
func (v view) printer() (show func(backend.Event), finish func()) {
	if v.json {
		enc := json.NewEncoder(os.Stdout)
		return func(e backend.Event) { _ = enc.Encode(e) }, func() {} // a reader that is gone ends us by SIGPIPE
	}
	p := &lines{w: os.Stderr, last: map[string]int64{}}
	text, finish := p.show, func() {}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		t := &bars{w: os.Stderr, running: map[string]backend.Event{}}
		text, finish = t.show, t.clear
	}
	return func(e backend.Event) {
		if e.Kind == backend.EventStepStarted && !v.why {
			e.Msg = ""
		}
		text(e)
	}, finish
}

// cancelLimit bounds the wait for the end of a build that was cancelled.
const cancelLimit = 30 * time.Second

// buildAndFollow hands a build to the owner and shows it to its end. The end of
// ctx cancels the build, since this command started it.
func buildAndFollow(ctx context.Context, b *backend.Backend, s backend.Submission, v view) error {
	c := b.Client()
	c.NoWait = s.NoWait
	c.Waiting = func(h backend.Holder) { fmt.Fprintf(os.Stderr, "waiting for %s\n", h) }
	id, err := c.Submit(ctx, s)
	if err != nil {
		return err
	}
	show, finish := v.printer()
	defer finish()
	last := int64(0)
	seen := func(e backend.Event) {
		last = max(last, e.ID)
		show(e)
	}
	err = c.Follow(ctx, s.Target, id, 0, seen)
	if ctx.Err() == nil {
		return err
	}
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelLimit)
	defer stop()
	if err := c.Cancel(after, id); err != nil {
		return fmt.Errorf("cancel build %s: %w", id, err)
	}
	return c.Follow(after, s.Target, id, last, seen)
}

// sentence is what an event says to a person; "" for those that say nothing.
func sentence(e backend.Event) string {
	switch e.Kind {
	case backend.EventBuildStarted:
		return fmt.Sprintf("build %s of %s", e.Build, e.Target)
	case backend.EventStepStarted:
		if e.Msg != "" {
			return fmt.Sprintf("%-8s started: %s", e.Step, e.Msg)
		}
		return fmt.Sprintf("%-8s started", e.Step)
	case backend.EventStepSkipped:
		return fmt.Sprintf("%-8s %s", e.Step, e.Msg)
	case backend.EventStepFinished:
		if e.Msg != "" && e.Outcome == "passed" {
			return fmt.Sprintf("%-8s %s: %s", e.Step, e.Outcome, e.Msg)
		}
		return fmt.Sprintf("%-8s %s", e.Step, e.Outcome)
	case backend.EventNote:
		if e.Outcome == "failed" {
			return ""
		}
		return fmt.Sprintf("%-8s %s", e.Step, e.Msg)
	case backend.EventEvidence:
		return fmt.Sprintf("%-8s %s", "evidence", e.Evidence)
	}
	return ""
}

// lines writes one plain line an event, and progress every tenth.
type lines struct {
	w    io.Writer
	last map[string]int64
}

func (l *lines) show(e backend.Event) {
	if e.Kind == backend.EventProgress {
		if e.Total == 0 || e.Step == "fetch" && e.Done < e.Total {
			return
		}
		tenth := e.Done * 10 / e.Total
		if tenth <= l.last[e.Step] && e.Done != e.Total {
			return
		}
		if l.last[e.Step] == 10 && tenth == 10 {
			return
		}
		l.last[e.Step] = tenth
		fmt.Fprintf(l.w, "%s %s\n", e.At.Local().Format("15:04:05"), progressText(e))
		return
	}
	if s := sentence(e); s != "" {
		fmt.Fprintf(l.w, "%s %s\n", e.At.Local().Format("15:04:05"), s)
	}
}

func progressText(e backend.Event) string {
	s := fmt.Sprintf("%-8s %3d %%", e.Step, e.Done*100/max(1, e.Total))
	if e.ETA > 0 && e.Done < e.Total {
		s += fmt.Sprintf("  about %s left", (time.Duration(e.ETA) * time.Second).Round(time.Second))
	}
	return s
}

// bars keeps a block of progress lines at the end of a terminal's output.
type bars struct {
	w       io.Writer
	running map[string]backend.Event
	drawn   int
}

const barWidth = 28

func (t *bars) show(e backend.Event) {
	t.clear()
	switch e.Kind {
	case backend.EventProgress:
		t.running[e.Step] = e
	case backend.EventStepFinished, backend.EventStepSkipped:
		delete(t.running, e.Step)
	case backend.EventStepStarted:
		delete(t.running, "fetch")
	}
	if s := sentence(e); s != "" {
		fmt.Fprintf(t.w, "%s %s\n", e.At.Local().Format("15:04:05"), s)
	}
	steps := make([]string, 0, len(t.running))
	for s := range t.running {
		steps = append(steps, s)
	}
	sort.Strings(steps)
	for _, s := range steps {
		p := t.running[s]
		full := int(p.Done * barWidth / max(1, p.Total))
		fmt.Fprintf(t.w, "  %s%s %s\n", strings.Repeat("█", min(full, barWidth)), strings.Repeat("░", max(0, barWidth-full)), progressText(p))
	}
	t.drawn = len(steps)
}

// clear takes the block away (ANSI: up one line, erase line).
func (t *bars) clear() {
	for range t.drawn {
		fmt.Fprint(t.w, "\x1b[1A\x1b[2K")
	}
	t.drawn = 0
}
