package window

import (
	"fmt"
	"time"

	"ingot/backend/api"
)

// outcomes maps the outcome of a step or build to a state; a build without an
// end is Unknown.
var outcomes = map[api.Outcome]api.State{api.OutcomePassed: api.Passed, api.OutcomeFailed: api.Failed, api.OutcomeCancelled: api.Cancelled}

// step is a line of the timeline.
type step struct {
	name, text string
	state      api.State
	at         time.Time
	took       time.Duration
	cpu        time.Duration // of its child processes; 0 where it is not known
}

// timeline derives the steps from a journal.
func timeline(events []api.Event) []step {
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
		case api.EventStepStarted:
			*find(e.Step) = step{name: e.Step, text: e.Msg, state: api.Running, at: e.At}
		case api.EventStepSkipped:
			*find(e.Step) = step{name: e.Step, text: e.Msg, state: api.Passed}
		case api.EventStepFinished:
			s := find(e.Step)
			s.took = time.Duration(e.WallMS) * time.Millisecond
			s.cpu = time.Duration(e.CPUMS) * time.Millisecond
			if s.took == 0 && !s.at.IsZero() {
				s.took = e.At.Sub(s.at)
			}
			s.state, s.text = outcomes[e.Outcome], e.Msg // not why it ran, which reads as its result
		}
	}
	return out
}

// time returns how long the step took, and the processor time of its children if known.
func (s step) time() string {
	if s.cpu <= 0 {
		return formatDuration(s.took)
	}
	return formatDuration(s.took) + ", CPU " + formatDuration(s.cpu)
}

// ending describes how a build ended; failureCard describes a failure.
func ending(events []api.Event, live bool) string {
	if len(events) == 0 {
		return "The build is waiting in the queue."
	}
	last := events[len(events)-1]
	switch {
	case last.Kind != api.EventBuildFinished && live:
		return ""
	case last.Kind != api.EventBuildFinished:
		return "Ingot was ended during this build. The next build of the target continues after the last finished step."
	case last.Outcome == api.OutcomePassed:
		return "Passed in " + formatDuration(last.At.Sub(events[0].At)) + "."
	}
	return fmt.Sprintf("%s: %s", last.Outcome, clean(last.Msg))
}
