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
	"ingot/backend/api"
	"ingot/backend/owner"
)

// view configures how events are shown.
type view struct {
	json bool // NDJSON on standard output
	why  bool // with the reason of each step
}

// printer returns a function that shows events – as bars on a terminal, as
// plain lines in a pipe, or as NDJSON – and one that must be called at the end.
func (v view) printer() (show func(api.Event), finish func()) {
	if v.json {
		enc := json.NewEncoder(os.Stdout)
		return func(e api.Event) { _ = enc.Encode(e) }, func() {} // a closed pipe ends the program with SIGPIPE
	}
	p := &lines{w: os.Stderr, last: map[string]int64{}}
	text, finish := p.show, func() {}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		t := &bars{w: os.Stderr, running: map[string]api.Event{}}
		text, finish = t.show, t.clear
	}
	return func(e api.Event) {
		if e.Kind == api.EventStepStarted && !v.why {
			e.Msg = ""
		}
		text(e)
	}, finish
}

// cancelLimit bounds the wait for the end of a cancelled build.
const cancelLimit = 30 * time.Second

// buildAndFollow submits a build to the owner and shows its events until it
// ends. When ctx is done it cancels the build, since this command has started
// it.
func buildAndFollow(ctx context.Context, b *backend.Backend, s api.Submission, v view) error {
	c := owner.ClientOf(b)
	c.NoWait = s.NoWait
	c.Waiting = func(h api.Holder) { fmt.Fprintf(os.Stderr, "waiting for %s\n", h) }
	c.Silent = sayAndWait
	id, err := c.Submit(ctx, s)
	if err != nil {
		return err
	}
	show, finish := v.printer()
	defer finish()
	last := int64(0)
	seen := func(e api.Event) {
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

// sayAndWait says that the owner does not answer; the build that is followed may go
// on with it.
func sayAndWait(err error) bool {
	fmt.Fprintf(os.Stderr, "ingot: %v\n", err)
	return true
}

// sentence describes an event for people; "" means that it is not shown.
func sentence(e api.Event) string {
	switch e.Kind {
	case api.EventBuildStarted:
		return fmt.Sprintf("build %s of %s", e.Build, e.Target)
	case api.EventStepStarted:
		if e.Msg != "" {
			return fmt.Sprintf("%-8s started: %s", e.Step, e.Msg)
		}
		return fmt.Sprintf("%-8s started", e.Step)
	case api.EventStepSkipped:
		return fmt.Sprintf("%-8s %s", e.Step, e.Msg)
	case api.EventStepFinished:
		if e.Msg != "" && e.Outcome == "passed" {
			return fmt.Sprintf("%-8s %s: %s", e.Step, e.Outcome, e.Msg)
		}
		return fmt.Sprintf("%-8s %s", e.Step, e.Outcome)
	case api.EventNote:
		if e.Outcome == "failed" {
			return ""
		}
		return fmt.Sprintf("%-8s %s", e.Step, e.Msg)
	case api.EventEvidence:
		return fmt.Sprintf("%-8s %s", "evidence", e.Evidence)
	}
	return ""
}

// lines writes one plain line per event, and progress in steps of 10 %.
type lines struct {
	w    io.Writer
	last map[string]int64
}

func (l *lines) show(e api.Event) {
	if e.Kind == api.EventProgress {
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

func progressText(e api.Event) string {
	s := fmt.Sprintf("%-8s %3d %%", e.Step, e.Done*100/max(1, e.Total))
	if e.ETA > 0 && e.Done < e.Total {
		s += fmt.Sprintf("  about %s left", (time.Duration(e.ETA) * time.Second).Round(time.Second))
	}
	return s
}

// bars shows progress lines at the end of a terminal's output.
type bars struct {
	w       io.Writer
	running map[string]api.Event
	drawn   int
}

const barWidth = 28

func (t *bars) show(e api.Event) {
	t.clear()
	switch e.Kind {
	case api.EventProgress:
		t.running[e.Step] = e
	case api.EventStepFinished, api.EventStepSkipped:
		delete(t.running, e.Step)
	case api.EventStepStarted:
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

// clear erases the progress lines (ANSI: up one line, erase line).
func (t *bars) clear() {
	for range t.drawn {
		fmt.Fprint(t.w, "\x1b[1A\x1b[2K")
	}
	t.drawn = 0
}
