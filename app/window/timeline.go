package window

import (
	"fmt"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"ingot/app/feed"
	"ingot/backend"
)

// outcomes are the states of what ended; of what has not, nothing is known.
var outcomes = map[backend.Outcome]backend.State{backend.OutcomePassed: backend.Passed, backend.OutcomeFailed: backend.Failed, backend.OutcomeCancelled: backend.Cancelled}

// step is a line of the timeline.
type step struct {
	name, text string
	state      backend.State
	at         time.Time
	took       time.Duration
}

// timeline folds a journal into its steps.
func timeline(events []backend.Event) []step {
	var out []step
	find := func(name string) *step {
		for i := range out {
			if out[i].name == name {
				return &out[i]
			}
		}
		out = append(out, step{name: name})
		return &out[len(out)-1]
	}
	for _, e := range events {
		if e.Step == "" {
			continue
		}
		switch e.Kind {
		case backend.EventStepStarted:
			*find(e.Step) = step{name: e.Step, text: e.Msg, state: backend.Running, at: e.At}
		case backend.EventStepSkipped:
			*find(e.Step) = step{name: e.Step, text: e.Msg, state: backend.Passed}
		case backend.EventStepFinished:
			s := find(e.Step)
			s.took = time.Duration(e.WallMS) * time.Millisecond
			if s.took == 0 && !s.at.IsZero() {
				s.took = e.At.Sub(s.at)
			}
			s.state = outcomes[e.Outcome]
			if e.Outcome != backend.OutcomePassed {
				s.text = e.Msg
			}
		}
	}
	return out
}

func stepRow(s step, now feed.Build) fyne.CanvasObject {
	name := widget.NewLabel(s.name)
	name.TextStyle.Bold = true
	text := widget.NewLabel(clean(s.text))
	text.Truncation = fyne.TextTruncateEllipsis
	right := widget.NewLabel("")
	if s.took > 0 {
		right.SetText(span(s.took))
	}
	var middle fyne.CanvasObject = text
	if s.state == backend.Running && now.Step == s.name {
		right.SetText(progressLine(now))
		if p, ok := now.Percent(); ok {
			bar := widget.NewProgressBar()
			bar.SetValue(float64(p) / 100)
			middle = bar
		}
	}
	return container.NewBorder(nil, nil, container.NewHBox(widget.NewIcon(icon(s.state)), name), right, middle)
}

// ending says how a build ended: its cause and fix when it failed.
func ending(events []backend.Event, live bool) string {
	if len(events) == 0 {
		return "It waits in the queue."
	}
	last := events[len(events)-1]
	switch {
	case last.Kind != backend.EventBuildFinished && live:
		return ""
	case last.Kind != backend.EventBuildFinished:
		return "It was cut off. The next build of the target goes on from its last finished step."
	case last.Outcome == backend.OutcomePassed:
		return "Passed in " + span(last.At.Sub(events[0].At)) + "."
	}
	text := fmt.Sprintf("%s: %s", last.Outcome, clean(last.Msg))
	if last.Cause != "" {
		text += "\nCause: " + last.Cause
	}
	if last.Fix != "" {
		text += "\nNext: " + last.Fix
	}
	return text
}
