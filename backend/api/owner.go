package api

import (
	"time"

	"ingot/backend/build"
	"ingot/backend/team"
)

// OwnerPurpose is the home.Holder.Purpose of an owner.
const OwnerPurpose = "owner"

// OwnerInfo is an owner's description of itself.
type OwnerInfo struct {
	PID     int               `json:"pid"`
	Version string            `json:"version"`
	Started time.Time         `json:"started"`
	Builds  []ActiveBuild     `json:"builds"`  // builds without an end
	Leaving bool              `json:"leaving"` // accepts no more builds
	Env     map[string]string `json:"env"`     // see Environment
}

// ActiveBuild is a build that is running or waiting.
type ActiveBuild struct {
	ID      string    `json:"id"`
	Target  string    `json:"target"`
	Lane    string    `json:"lane"`
	Started time.Time `json:"started,omitzero"` // zero while it waits
	Step    string    `json:"step,omitempty"`   // the step started last
}

// Snapshot is the first line of the stream of all events: the current state.
type Snapshot struct {
	Owner OwnerInfo `json:"owner"`
	Rows  []Row     `json:"rows"`
}

// Submission is what a client asks an owner to build.
type Submission struct {
	Target    string   `json:"target"`
	Until     string   `json:"until,omitempty"`
	Force     []string `json:"force,omitempty"`
	Unproven  bool     `json:"unproven,omitempty"`
	To        string   `json:"to,omitempty"` // where to publish, such as dir:/srv/images; "" is the configured endpoint
	Unscanned bool     `json:"unscanned,omitempty"`
	Renew     bool     `json:"renew,omitempty"`
	Keep      bool     `json:"keep,omitempty"`
	Check     bool     `json:"check,omitempty"`
	StopVM    bool     `json:"stopVM,omitempty"` // shut the running VM of the strategy vm down for the copy, and start it again
	Guest     string   `json:"guest,omitempty"`
	Batch     bool     `json:"batch,omitempty"`  // wait for all interactive builds
	NoWait    bool     `json:"noWait,omitempty"` // fail if a build of the target is running or waiting
	Team      bool     `json:"team,omitempty"`   // a worker of the team builds and boots, this home publishes
}

// Options returns the build options of the submission.
func (s Submission) Options() build.Options {
	return build.Options{Target: s.Target, Until: s.Until, Force: s.Force, Unproven: s.Unproven, Unscanned: s.Unscanned, To: s.To, Renew: s.Renew, StopVM: s.StopVM, Keep: s.Keep, Check: s.Check}
}

// WorkerInfo is a worker of the team, as of its last heartbeat.
type WorkerInfo = team.Worker
