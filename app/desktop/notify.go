package desktop

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ingot/app"
	"ingot/backend"
)

// Note is a notification. A newer one with the same ID takes its place.
type Note struct {
	ID          string
	Title, Body string
	Actions     []NoteAction
}

// NoteAction is a button of a note. The one of key "default" is a click on the
// note itself.
type NoteAction struct{ Key, Label string }

// Keys of actions; their meanings are with the note's maker.
const (
	ActDefault = "default"
	ActShow    = "show"
	ActPublish = "publish"
	ActLog     = "log"
	ActReveal  = "reveal"
)

// Notifier shows notes. OpenNotifier opens the platform's. Show may be called
// from several goroutines and fails where there is no server; a later one may
// work again.
type Notifier interface {
	Show(Note) error
	Close() error
}

// OfBuild is the note of a build that ended; row says what holds of its target
// after it. A build that somebody cancelled needs none.
func OfBuild(e backend.Event, row backend.Row) (Note, bool) {
	n := Note{ID: "build/" + e.Build}
	switch e.Outcome {
	case backend.OutcomePassed:
		n.Title, n.Body = e.Target+" is done", app.Verdict(row)
		n.Actions = []NoteAction{{ActDefault, "Show"}, {ActShow, "Show"}}
		if row.Boots.State == backend.Passed && row.Published.State != backend.Passed {
			n.Actions = append(n.Actions, NoteAction{ActPublish, "Publish"})
		}
	case backend.OutcomeFailed:
		n.Title, n.Body = e.Target+" failed", e.Msg
		if e.Cause != "" {
			n.Body = e.Cause + ": " + n.Body
		}
		if e.Fix != "" {
			n.Body += " – " + e.Fix
		}
		n.Actions = []NoteAction{{ActDefault, "View Log"}, {ActLog, "View Log"}}
	default:
		return Note{}, false
	}
	n.Title, n.Body = app.Line(n.Title), app.Line(n.Body)
	return n, true
}

// burst is how many notes come within burstTime at most; more are told of
// together.
const (
	burst     = 5
	burstTime = 10 * time.Second
)

// Herald decides which notes are shown. It is quiet while the window has the
// focus, since that shows the same, and tells many ends in one note.
type Herald struct {
	Notifier Notifier
	Focused  func(context.Context) bool // may be nil: never
	Quiet    func() bool                // no notes are wanted; may be nil: they are
	Failed   func(error)                // a note that could not be shown; may be nil

	mu     sync.Mutex
	recent []time.Time
	merged int
}

// Tell shows a note, unless there is a reason not to. It blocks as long as the
// question for the focus.
func (h *Herald) Tell(ctx context.Context, n Note) {
	if h.Quiet != nil && h.Quiet() || h.Focused != nil && h.Focused(ctx) {
		return
	}
	if err := h.Notifier.Show(h.merge(n)); err != nil && h.Failed != nil {
		h.Failed(fmt.Errorf("notification %q: %w", n.Title, err))
	}
}

// merge puts a note into one with others where there were many of late.
func (h *Herald) merge(n Note) Note {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for len(h.recent) > 0 && now.Sub(h.recent[0]) > burstTime {
		h.recent = h.recent[1:]
	}
	h.recent = append(h.recent, now)
	if len(h.recent) <= burst {
		h.merged = 0
		return n
	}
	h.merged++
	return Note{ID: "many", Title: fmt.Sprintf("and %d more", h.merged), Body: app.Line("last: " + n.Title), Actions: []NoteAction{{ActDefault, "Show"}, {ActShow, "Show"}}}
}

// attentionAfter is how long something must be wrong before it is told: an
// owner that is replaced is gone for a moment.
const attentionAfter = 10 * time.Second

// Attention watches for what a person has to see to. problem is asked at every
// value of changed; one that lasts is told once, until it was gone.
func (h *Herald) Attention(ctx context.Context, changed <-chan struct{}, problem func() string) {
	var since time.Time
	told := ""
	wake := time.NewTimer(attentionAfter)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-wake.C:
		}
		p := problem()
		switch {
		case p == "":
			since, told = time.Time{}, ""
		case since.IsZero():
			since = time.Now()
			wake.Reset(attentionAfter)
		case time.Since(since) >= attentionAfter && told == "":
			told = p
			h.Tell(ctx, Note{ID: "attention", Title: "Ingot needs attention", Body: app.Line(p), Actions: []NoteAction{{ActDefault, "Show"}, {ActShow, "Show"}}})
		}
	}
}
