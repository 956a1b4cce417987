package desktop

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ingot/backend/api"
)

func keys(n Note) string {
	var k []string
	for _, a := range n.Actions {
		k = append(k, a.Key)
	}
	return strings.Join(k, " ")
}

// Which build's end is waiting, how, and with which actions.
func TestOfBuild(t *testing.T) {
	ok := api.Cell{State: api.Passed}
	proven := api.Row{Target: "t", Exported: ok, Boots: ok}
	published := api.Row{Target: "t", Exported: ok, Boots: ok, Published: ok}
	for _, c := range []struct {
		name              string
		e                 api.Event
		row               api.Row
		title, body, keys string
		silent            bool
	}{
		{"proven", api.Event{Outcome: api.OutcomePassed}, proven, "t is done", "boots", "default show publish", false},
		{"published", api.Event{Outcome: api.OutcomePassed}, published, "t is done", "boots, published", "default show", false},
		{"without evidence", api.Event{Outcome: api.OutcomePassed}, api.Row{Target: "t"}, "t is done", "not built", "default show", false},
		{"failed", api.Event{Outcome: api.OutcomeFailed, Msg: "no\nway", Cause: "kernel.no-init", Fix: "mend it"}, api.Row{}, "t failed", "no way – mend it", "default why again", false},
		{"no cause", api.Event{Outcome: api.OutcomeFailed, Msg: "no way"}, api.Row{}, "t failed", "no way", "default why again", false},
		{"cancelled", api.Event{Outcome: api.OutcomeCancelled}, api.Row{}, "", "", "", true},
	} {
		c.e.Target, c.e.Build = "t", "1"
		n, waiting := OfBuild(c.e, c.row)
		if waiting == c.silent || n.Title != c.title || n.Body != c.body || keys(n) != c.keys {
			t.Errorf("%s: %v %+v", c.name, waiting, n)
		}
		if waiting && n.ID != "build/1" {
			t.Errorf("%s: the note of build 1 is %q: it would not take the place of an earlier one", c.name, n.ID)
		}
	}
}

// shown keeps what a NotifyPolicy shows.
type shown struct {
	notes []Note
	err   error
}

func (s *shown) Show(n Note) error {
	s.notes = append(s.notes, n)
	return s.err
}

func (*shown) Close() error { return nil }

func TestPolicyIsQuiet(t *testing.T) {
	focused := true
	s := &shown{}
	h := &NotifyPolicy{Notifier: s, Focused: func(context.Context) bool { return focused }}
	h.Show(t.Context(), Note{ID: "1"})
	if len(s.notes) != 0 {
		t.Error("a note came while the window has the focus")
	}
	focused = false
	h.Show(t.Context(), Note{ID: "1"})
	if len(s.notes) != 1 {
		t.Error("no note came")
	}
	quiet := true
	h.Quiet = func() bool { return quiet }
	h.Show(t.Context(), Note{ID: "1"})
	if len(s.notes) != 1 {
		t.Error("a note came that nobody wanted")
	}
	quiet = false
	var why error
	s.err, h.Failed = errors.New("no server"), func(err error) { why = err }
	h.Show(t.Context(), Note{ID: "2", Title: "x"})
	if why == nil || !strings.Contains(why.Error(), `"x": no server`) {
		t.Errorf("%v", why)
	}
}

// A hundred ends at once are a few notes and one for the rest, which is
// replaced each time.
func TestPolicyMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shown{}
		h := &NotifyPolicy{Notifier: s}
		for range 100 {
			h.Show(t.Context(), Note{ID: "build", Title: "t is done"})
		}
		ids := map[string]int{}
		for _, n := range s.notes {
			ids[n.ID]++
		}
		if ids["build"] != burst || ids["many"] != 100-burst || s.notes[99].Title != "and 95 more" {
			t.Errorf("%v, last %+v", ids, s.notes[99])
		}
		time.Sleep(2 * burstTime)
		h.Show(t.Context(), Note{ID: "later"})
		if s.notes[100].ID != "later" {
			t.Errorf("after the storm: %+v", s.notes[100])
		}
	})
}

// A problem is waiting when it lasts, once, and again only after it was gone.
func TestAttention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, changed := &shown{}, make(chan struct{})
		var problem atomic.Value
		problem.Store("")
		h := &NotifyPolicy{Notifier: s}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.Attention(ctx, changed, func() string { return problem.Load().(string) })
		}()
		set := func(p string) {
			problem.Store(p)
			changed <- struct{}{}
			synctest.Wait()
		}
		set("the owner is replaced")
		time.Sleep(attentionAfter / 2)
		set("")
		time.Sleep(2 * attentionAfter)
		synctest.Wait()
		if len(s.notes) != 0 {
			t.Errorf("a short gap was waiting: %+v", s.notes)
		}
		set("config.yaml:3: wrong")
		time.Sleep(2 * attentionAfter)
		set("config.yaml:3: wrong")
		set("config.yaml:3: wrong")
		if len(s.notes) != 1 || s.notes[0].Body != "config.yaml:3: wrong" {
			t.Errorf("%+v", s.notes)
		}
		set("")
		set("again")
		time.Sleep(2 * attentionAfter)
		synctest.Wait()
		if len(s.notes) != 2 {
			t.Errorf("%+v", s.notes)
		}
		cancel()
		<-ended
	})
}
