package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/jobs"
)

// jobFile is the record of a submission in a build's folder.
const jobFile = "job.json"

// Submission is what a client asks an owner to build.
type Submission struct {
	Target   string   `json:"target"`
	Until    string   `json:"until,omitempty"`
	Force    []string `json:"force,omitempty"`
	Unproven bool     `json:"unproven,omitempty"`
	Renew    bool     `json:"renew,omitempty"`
	Keep     bool     `json:"keep,omitempty"`
	Check    bool     `json:"check,omitempty"`
	Guest    string   `json:"guest,omitempty"`
	Batch    bool     `json:"batch,omitempty"`  // behind all interactive builds
	NoWait   bool     `json:"noWait,omitempty"` // refuse when a build of the target has not ended
	Team     bool     `json:"team,omitempty"`   // a worker of the team builds and proves, this home publishes
}

func (s Submission) options() build.Options {
	return build.Options{Target: s.Target, Until: s.Until, Force: s.Force, Unproven: s.Unproven, Renew: s.Renew, Keep: s.Keep, Check: s.Check}
}

// LeavingError says that an owner takes no more work.
type LeavingError struct{}

func (*LeavingError) Error() string { return "Ingot's owner is about to end: try again in a moment" }

// submit checks a submission, records it and queues it.
func (o *Owner) submit(ctx context.Context, s Submission) (string, error) {
	o.mu.Lock()
	leaving := o.leaving
	o.mu.Unlock()
	if leaving {
		return "", &LeavingError{}
	}
	b, err := o.backend(s.Guest)
	if err != nil {
		return "", err
	}
	if err := b.CheckSubmission(s); err != nil {
		return "", err
	}
	if s.NoWait {
		if id := o.runningOf(s.Target); id != "" {
			return "", &home.HeldError{Holder: home.Holder{PID: os.Getpid(), Purpose: "build " + id + " of " + s.Target, Since: o.started}}
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	j := jobs.Job{ID: build.NewID(time.Now()), Target: s.Target, Lane: jobs.Interactive, Weight: slots(), Data: data}
	if s.Batch {
		j.Lane = jobs.Batch
	}
	if s.Team {
		j.Weight = 1 // it waits, fetches and publishes
	}
	if err := o.record(j); err != nil {
		return "", err
	}
	if err := o.enqueue(ctx, j); err != nil {
		o.fail(j, err)
		return "", err
	}
	return j.ID, nil
}

// CheckSubmission says what of it cannot be built, before anything is begun.
func (b *Backend) CheckSubmission(s Submission) error {
	if err := s.options().Validate(); err != nil {
		return err
	}
	if _, err := b.targets.Get(s.Target); err != nil {
		return err
	}
	if s.Team {
		return b.checkTeam(s)
	}
	if s.Guest == "" || s.Guest == "local" {
		return nil
	}
	_, err := b.guestConfig(s.Guest)
	return err
}

func (o *Owner) runningOf(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, j := range o.open {
		if j.Target == name {
			return j.ID
		}
	}
	return ""
}

// record writes job.json: from here on the build goes on whatever happens.
func (o *Owner) record(j jobs.Job) error {
	bd, err := o.ledger.Build(j.Target, j.ID)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(j, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(bd.Dir, 0o700); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if err := home.WriteFileAtomic(filepath.Join(bd.Dir, jobFile), data, 0o600); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return nil
}

// enqueue puts a recorded job into the queue, which is started when it is not
// up. A job that the queue holds already is left there.
func (o *Owner) enqueue(ctx context.Context, j jobs.Job) error {
	o.mu.Lock()
	_, known := o.open[j.ID]
	if o.leaving && !known {
		o.mu.Unlock()
		return &LeavingError{}
	}
	o.open[j.ID] = j
	o.mu.Unlock()
	if !known {
		o.bus.Publish(event.Event{At: time.Now().UTC(), Kind: event.BuildQueued, Target: j.Target, Build: j.ID})
	}
	if s, away := o.ofTeam(j); away {
		err := o.goAfar(j, s)
		if err != nil {
			o.ended(j.ID)
		}
		return err
	}
	err := o.put(ctx, j)
	if err != nil && ctx.Err() == nil {
		err = o.putAgain(ctx, j, err)
	}
	if err != nil {
		o.ended(j.ID)
	}
	return err
}

// put starts the queue and puts the job there, unless it is there.
func (o *Owner) put(ctx context.Context, j jobs.Job) error {
	q, err := o.startQueue(ctx)
	if err != nil {
		return err
	}
	if held, err := q.Holds(ctx, j.ID); err != nil || held {
		return err
	}
	return q.Submit(ctx, j)
}

// putAgain puts a job that failed to be put into a queue that is opened anew: one
// that could not write once, as its disk was full, answers no submission ever
// after (nats-server v2.15: fileStore.werr). It stays as it is while other builds
// would be stopped by that.
func (o *Owner) putAgain(ctx context.Context, j jobs.Job, failed error) error {
	o.mu.Lock()
	alone := len(o.open) == 1
	o.mu.Unlock()
	if !alone {
		return fmt.Errorf("the queue takes no job, as when its disk was full, and is opened anew when the builds in it have ended: %w", failed)
	}
	o.log.Warn("the queue is opened anew", "err", failed)
	o.closeQueue(true)
	return o.put(ctx, j)
}
