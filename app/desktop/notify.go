package desktop

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ingot/app"
	"ingot/backend/api"
)

// Note is a notification. It replaces an earlier one with the same ID.
type Note struct {
	ID          string
	Title, Body string
	Actions     []NoteAction
}

// NoteAction is a button of a notification. The action with the key "default"
// is a click on the notification itself.
type NoteAction struct{ Key, Label string }

// Keys of actions; their meanings are with the note's maker.
const (
	ActDefault = "default"
	ActShow    = "show"
	ActPublish = "publish"
	ActWhy     = "why"
	ActAgain   = "again"
	ActReveal  = "reveal"
)

// Notifier shows notifications; OpenNotifier opens the platform's. Show is safe
// for concurrent use. It fails if there is no notification server; a later call
// may succeed.
type Notifier interface {
	Show(Note) error
	Close() error
}

// OfBuild returns the notification of a build that ended; row is the state of
// its target afterwards. It returns false for a cancelled build.
func OfBuild(e api.Event, row api.Row) (Note, bool) {
	n := Note{ID: "build/" + e.Build}
	switch e.Outcome {
	case api.OutcomePassed:
		n.Title, n.Body = e.Target+" is done", app.Verdict(row)
		n.Actions = []NoteAction{{ActDefault, "Show"}, {ActShow, "Show"}}
		if row.Boots.State == api.Passed && row.Published.State != api.Passed {
			n.Actions = append(n.Actions, NoteAction{ActPublish, "Publish"})
		}
	case api.OutcomeFailed:
		n.Title, n.Body = e.Target+" failed", e.Msg // in words: the cause's id is on the page
		if e.Fix != "" {
			n.Body += " – " + e.Fix
		}
		n.Actions = []NoteAction{{ActDefault, "See Why"}, {ActWhy, "See Why"}, {ActAgain, "Try Again"}}
	default:
		return Note{}, false
	}
	n.Title, n.Body = app.Line(n.Title), app.Line(n.Body)
	return n, true
}

// burst is the largest number of notifications within burstTime; further ones
// are combined into one.
const (
	burst     = 5
	burstTime = 10 * time.Second
)

// NotifyPolicy decides which notifications are shown. It shows none while the
// window has the focus, since the window shows the same, and combines many
// notifications into one.
type NotifyPolicy struct {
	Notifier Notifier
	Focused  func(context.Context) bool // whether the window has the focus; nil means never
	Quiet    func() bool                // whether the user wants no notifications; may be nil
	Failed   func(error)                // called when a notification could not be shown; may be nil

	mu     sync.Mutex
	recent []time.Time
	merged int
}

// Show shows a notification unless the policy suppresses it. It waits for the
// answer of Focused.
func (h *NotifyPolicy) Show(ctx context.Context, n Note) {
	if h.Quiet != nil && h.Quiet() || h.Focused != nil && h.Focused(ctx) {
		return
	}
	if err := h.Notifier.Show(h.merge(n)); err != nil && h.Failed != nil {
		h.Failed(fmt.Errorf("notification %q: %w", n.Title, err))
	}
}

// merge combines the notification with earlier ones if there were many
// recently.
func (h *NotifyPolicy) merge(n Note) Note {
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

// attentionAfter is how long a problem must last before it is shown: while an
// owner is replaced there is none for a moment.
const attentionAfter = 10 * time.Second

// Attention shows a notification about a problem that the user has to solve. It
// calls problem after every value of changed. A problem that lasts is shown
// once, and again only after it was solved.
func (h *NotifyPolicy) Attention(ctx context.Context, changed <-chan struct{}, problem func() string) {
	var since time.Time
	shown := ""
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
			since, shown = time.Time{}, ""
		case since.IsZero():
			since = time.Now()
			wake.Reset(attentionAfter)
		case time.Since(since) >= attentionAfter && shown == "":
			shown = p
			h.Show(ctx, Note{ID: "attention", Title: "Ingot needs attention", Body: app.Line(p), Actions: []NoteAction{{ActDefault, "Show"}, {ActShow, "Show"}}})
		}
	}
}
