package window

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"

	"ingot/app"
	"ingot/backend/api"
)

// The first page has a card for what runs and for what failed, a row for each target with
// a sentence and one button, and filters by what a target needs.
func TestHome(t *testing.T) {
	p, news := acted()
	atWork(p, &news)
	s := shown(t, p, "home", news, *p.progress)
	for _, text := range []string{"kernel, 30 %", "about 5 min left", "Needs you", "It did not boot: the root file system was not found", "Boots under QEMU, published (local only) on 26 Nov", "Out of date: recipe, lock or kernel have changed since", "Not built yet"} {
		s.until(text)
	}
	s.until("Activity (1)")
	s.tap("Failed 1")
	s.until("Alpine 3.23, arm64")
	if strings.Contains(s.texts(), "Debian 13 (trixie)") {
		t.Error("the filter shows what has not failed")
	}
	s.tap("All 5")
	s.until("Debian 13 (trixie)")
	s.on(func() { s.view.(*home).find.SetText("ubuntu 24") })
	if text := s.texts(); !strings.Contains(text, "Ubuntu 24.04") || strings.Contains(text, "Debian 13 (trixie)") {
		t.Errorf("the search shows\n%s", text)
	}
	s.on(func() { s.view.(*home).find.SetText("") })

	s.tap("Cancel")
	s.until("Cancelling…") // before anybody has answered
	s.asked(p, "cancel "+buildID)
	s.tap("Build")
	s.asked(p, "submit ubuntu-24.04-arm64 until= force=[]")
	for end := time.Now().Add(30 * time.Second); s.route() != "target/ubuntu-24.04-arm64"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after Build the window shows %s", s.route())
		}
	}
}

// route is what the window shows.
func (s *stage) route() (r string) {
	s.on(func() { r = s.Route().String() })
	return r
}

// Each row has the button of what it needs, and a mark opens what stands behind it.
func TestHomeButtons(t *testing.T) {
	p, news := acted()
	atWork(p, &news)
	for label, want := range map[string]string{"Why?": "target/alpine-3.23-arm64", "See why": "target/alpine-3.23-arm64", "Get image": "artifacts/debian-13-arm64", "Watch": "target/debian-12-arm64", "All cells": "reality"} {
		t.Run(label, func(t *testing.T) {
			s := shown(t, p, "home", news, *p.progress)
			s.until("about 5 min left")
			s.tap(label)
			if got := s.Route().String(); got != want {
				t.Errorf("it shows %s, want %s", got, want)
			}
		})
	}
	news.Rows[2].Boots.Evidence = "proof-1"
	s := shown(t, p, "home", news)
	s.until("Debian 13 (trixie)")
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			if m, ok := o.(*six); ok && m.row.Target == "debian-13-arm64" {
				test.TapAt(m, fyne.NewPos(4.5*(markSize+markGap), 5))
			}
		})
	})
	if got := s.Route().String(); got != "evidence/proof-1" {
		t.Errorf("a mark shows %s", got)
	}
}

// Two hundred targets are listed, and only the rows that are visible exist.
func TestHomeOfMany(t *testing.T) {
	p, news := acted()
	news.Rows = nil
	for i := range 200 {
		news.Rows = append(news.Rows, api.Row{Target: fmt.Sprintf("t%03d-%s", i, strings.Repeat("x", 120)), Title: "Ünïcode 🙂 \u202e" + strings.Repeat("long ", 40), Configured: api.Cell{State: api.Passed, At: time.Unix(1, 0)}})
	}
	p.rows, p.real = news.Rows, nil
	s := shown(t, p, "home", news)
	s.until("t000-")
	rows := 0
	s.on(func() {
		s.walk(func(o fyne.CanvasObject) {
			if b, ok := o.(*widget.Button); ok && b.Text == "Build" {
				rows++
			}
		})
	})
	if rows == 0 || rows > 20 {
		t.Errorf("%d rows exist", rows)
	}
	if w := s.Content().MinSize().Width; w > 900 {
		t.Errorf("the page needs a width of %.0f", w)
	}
}

// A sentence for each group.
func TestSentence(t *testing.T) {
	done := api.Cell{State: api.Passed, At: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	for want, r := range map[string]api.Row{
		"Not built yet":                                         {Configured: done},
		"Built on 26 Nov, not boot-tested":                      {Configured: done, Exported: done},
		"Boots under QEMU, checked on 26 Nov; not published":    {Boots: done, Exported: done},
		"Cancelled: kernel":                                     {Configured: done, Kernel: api.Cell{State: api.Cancelled}},
		"The recipe cannot be used: broken.yaml:4: no such key": {Configured: api.Cell{State: api.Failed, Message: "/x/broken.yaml:4: no such key"}},
		"Building: kernel":                                      {Configured: done, Kernel: api.Cell{State: api.Running}},
	} {
		if got := app.Sentence(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
