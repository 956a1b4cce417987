package window

import (
	"time"

	"ingot/app/feed"
	"ingot/backend/api"
)

// unknownShare is the share of a build's steps that may never have been timed for its
// progress still to be shown.
const unknownShare = 0.5

// estimate is how far a whole build is.
type estimate struct {
	done float64       // of 1
	left time.Duration // 0 is unknown
}

// estimated tells how far a build is, by how long its steps took before. plan are the
// names of all steps in their order; before has the time of each step that was ever run.
// It is unknown (false) if the step that runs now, or most of what follows, was never
// timed.
func estimated(plan []string, steps []step, now feed.Build, before map[string]time.Duration, at time.Time) (estimate, bool) {
	state := map[string]step{}
	for _, s := range steps {
		state[s.name] = s
	}
	var whole, done, left time.Duration
	unknown := 0
	for _, name := range plan {
		s, seen := state[name]
		usual, timed := before[name]
		switch {
		case seen && s.state == api.Passed:
			whole += s.took
			done += s.took
		case seen && s.state == api.Running:
			spent := at.Sub(s.at)
			rest := usual - spent
			if now.Step == name && now.ETA > 0 {
				rest = now.ETA
			} else if !timed {
				return estimate{}, false
			}
			rest = max(rest, spent/20) // it takes longer than before
			whole += spent + rest
			done += spent
			left += rest
		case !timed:
			unknown++
		default:
			whole += usual
			left += usual
		}
	}
	if whole <= 0 || float64(unknown) > unknownShare*float64(len(plan)) {
		return estimate{}, false
	}
	e := estimate{done: float64(done) / float64(whole)}
	if unknown == 0 {
		e.left = left
	}
	return e, true
}

// timesOf adds how long the steps of a build took to those of newer builds.
func timesOf(before map[string]time.Duration, events []api.Event) {
	for _, s := range timeline(events) {
		if _, known := before[s.name]; !known && s.state == api.Passed && s.took > 0 {
			before[s.name] = s.took
		}
	}
}
