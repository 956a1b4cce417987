package owner

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build/record"
	"ingot/backend/client"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/home"
	"ingot/backend/jobs"
	publishers "ingot/backend/publish/all"
	"ingot/backend/remote"
)

// jobFile is the name of the file in a build's folder that records its
// submission.
const jobFile = "job.json"

// submit checks a submission, records it, queues it, and returns the build's
// id.
func (o *Owner) submit(ctx context.Context, s api.Submission) (string, error) {
	o.mu.Lock()
	leaving := o.leaving
	o.mu.Unlock()
	if leaving {
		return "", &api.LeavingError{}
	}
	b, err := o.backend(s.Guest)
	if err != nil {
		return "", err
	}
	if err := CheckSubmission(b, s); err != nil {
		return "", err
	}
	if s.NoWait {
		if id := o.activeBuild(s.Target); id != "" {
			return "", &home.HeldError{Holder: home.Holder{PID: os.Getpid(), Purpose: "build " + id + " of " + s.Target, Since: o.started}}
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	_, weight := remote.Shares(b.Config.Workers)
	j := jobs.Job{ID: record.NewID(time.Now()), Target: s.Target, Lane: jobs.Interactive, Weight: weight, Data: data}
	if s.Batch {
		j.Lane = jobs.Batch
	}
	if s.Team {
		j.Weight = 1 // this home only downloads and publishes
	}
	if err := writeJob(o.ledger, j); err != nil {
		return "", err
	}
	if err := o.enqueue(ctx, j); err != nil {
		o.recordFailure(j, err)
		return "", err
	}
	return j.ID, nil
}

// ClientOf returns a client of the home's owner that checks a submission before
// it starts an owner.
func ClientOf(b *backend.Backend) *client.Client {
	c := client.New(b.Home)
	c.Check = func(s api.Submission) error { return CheckSubmission(b, s) }
	return c
}

// CheckSubmission returns an error if the submission cannot be built, before
// anything is recorded.
func CheckSubmission(b *backend.Backend, s api.Submission) error {
	if err := s.Options().Validate(); err != nil {
		return err
	}
	r, err := b.Targets.Get(s.Target)
	if err == nil {
		err = r.Buildable()
	}
	if err != nil {
		return err
	}
	if s.To != "" {
		if _, err := publishers.Open(s.To, publishers.Access{}); err != nil {
			return err
		}
	}
	if s.Team {
		return remote.CheckTeam(b, s)
	}
	_, err = b.GuestConfig(s.Guest)
	return err
}

func (o *Owner) activeBuild(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, j := range o.open {
		if j.Target == name {
			return j.ID
		}
	}
	return ""
}

// writeJob writes job.json. From then on an owner runs the build to its end,
// also after a crash.
func writeJob(ledger evidence.Ledger, j jobs.Job) error {
	bd, err := ledger.Build(j.Target, j.ID)
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

// enqueue puts a recorded build into the queue, or submits it to the team. It
// starts the queue if necessary. A job that is already in the queue is left
// there.
func (o *Owner) enqueue(ctx context.Context, j jobs.Job) error {
	o.mu.Lock()
	_, known := o.open[j.ID]
	if o.leaving && !known {
		o.mu.Unlock()
		return &api.LeavingError{}
	}
	o.open[j.ID] = j
	o.mu.Unlock()
	if !known {
		o.bus.Publish(event.Event{At: time.Now().UTC(), Kind: event.BuildQueued, Target: j.Target, Build: j.ID})
	}
	if s, isRemoteJob := isRemote(o.ledger, j); isRemoteJob {
		err := o.startRemote(j, s)
		if err != nil {
			o.finished(j.ID)
		}
		return err
	}
	err := o.enqueueLocal(ctx, j)
	if err != nil && ctx.Err() == nil {
		err = o.reopenQueue(ctx, j, err)
	}
	if err != nil {
		o.finished(j.ID)
	}
	return err
}

// enqueueLocal starts the queue if necessary and adds the job unless it is
// there.
func (o *Owner) enqueueLocal(ctx context.Context, j jobs.Job) error {
	q, err := o.startQueue(ctx)
	if err != nil {
		return err
	}
	if queued, err := q.Holds(ctx, j.ID); err != nil || queued {
		return err
	}
	return q.Submit(ctx, j)
}

// reopenQueue closes the queue, opens it again and adds the job. A queue whose
// disk was full once accepts no submission until it is opened again
// (nats-server v2.15: fileStore.werr). While other builds are running it
// returns an error instead, since closing the queue would stop them.
func (o *Owner) reopenQueue(ctx context.Context, j jobs.Job, failed error) error {
	o.mu.Lock()
	only := len(o.open) == 1
	o.mu.Unlock()
	if !only {
		return fmt.Errorf("the queue cannot store the build, probably because the disk was full: free space, and submit the build again when the running builds have ended: %w", failed)
	}
	o.log.Warn("opening the queue again", "err", failed)
	o.closeQueue(true)
	return o.enqueueLocal(ctx, j)
}
