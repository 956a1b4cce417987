// Package remote holds what the owner that submits a build to a team and the
// worker that runs it share: the inputs of a build, access to the team's bucket
// and server, and retries while those are unreachable.
package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/jobs"
	"ingot/backend/publish"
	"ingot/backend/publish/s3"
	"ingot/backend/target"
	"ingot/backend/team"
)

// Inputs are a build's target and options as a worker receives them. They are
// stored as a JSON object in the team's bucket, once, when the build is
// submitted.
type Inputs struct {
	Target target.Sent `json:"target"`
	Until  string      `json:"until"`
	Force  []string    `json:"force,omitempty"`
	Keep   bool        `json:"keep,omitempty"`
}

// MaxInputs limits the size, in bytes, of the inputs that a worker reads. A
// lock has about 55 KiB.
const MaxInputs = 16 << 20

// InputsOf returns the inputs for a submission. The publish step is left out: a
// worker never publishes.
func InputsOf(b *backend.Backend, s api.Submission) (Inputs, error) {
	sent, err := b.Targets.Send(s.Target)
	in := Inputs{Target: sent, Until: s.Until, Keep: s.Keep}
	if in.Until == "" || in.Until == build.StepPublish {
		in.Until = build.StepProve
	}
	for _, step := range s.Force {
		if step != build.StepPublish {
			in.Force = append(in.Force, step)
		}
	}
	return in, err
}

// Options returns the options with which the worker runs the build.
func (in Inputs) Options(id, name string) build.Options {
	return build.Options{ID: id, Target: name, Until: in.Until, Force: in.Force, Keep: in.Keep}
}

// CheckTeam returns an error if a team cannot build the submission.
func CheckTeam(b *backend.Backend, s api.Submission) error {
	wrong := func(format string, args ...any) error { return &build.OptionError{Msg: fmt.Sprintf(format, args...)} }
	switch {
	case b.Config.Team.NATS == "" || b.Config.Team.Store.Endpoint == "":
		return wrong("no team: set team.nats and team.store in %s (docs/team.md)", b.Home.ConfigFile())
	case len(b.WorkerKeys) == 0:
		return wrong("no worker is trusted: add its public key to team.workers in %s (`ingot workers` prints the keys)", b.Home.ConfigFile())
	case s.Guest != "":
		return wrong("--guest cannot be used with --team: the worker chooses the guest")
	case s.Check, s.Unproven, s.Unscanned, s.Renew:
		return wrong("--check, --unproven, --unscanned and --renew cannot be used with --team")
	}
	if r, err := b.Targets.Get(s.Target); err == nil && r.How() == target.VM {
		return wrong("target %s cannot be built by a worker: the disk of its VM is on this computer", s.Target)
	}
	_, err := InputsOf(b, s)
	return err
}

// Server returns the address of the team's NATS server.
func Server(b *backend.Backend) jobs.Server {
	t := b.Config.Team
	return jobs.Server{URL: t.NATS, Creds: t.Creds, CA: t.CAFile}
}

// Objects opens the team's bucket.
func Objects(ctx context.Context, b *backend.Backend) (*s3.Objects, error) {
	e, err := b.Endpoint(b.Config.Team.Store)
	if err != nil {
		return nil, err
	}
	return s3.OpenObjects(ctx, e)
}

// TeamWorkers lists the team's workers that were seen in the last ten minutes.
func TeamWorkers(ctx context.Context, b *backend.Backend) ([]api.WorkerInfo, error) {
	if b.Config.Team.NATS == "" {
		return nil, &build.OptionError{Msg: fmt.Sprintf("no team: set team.nats in %s (docs/team.md)", b.Home.ConfigFile())}
	}
	s, err := team.Join(ctx, Server(b), jobs.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Workers(ctx)
}

// TrustsWorker reports whether this home accepts the worker's evidence: its key
// is listed under team.workers.
func TrustsWorker(b *backend.Backend, w api.WorkerInfo) bool { return b.WorkerKeys[w.ID] != nil }

// RetryInterval is the time between two attempts while the team's server or bucket
// is unreachable.
const RetryInterval = 2 * time.Second

// temporary reports whether a call failed because the team's server or bucket
// is unreachable, so that the same call may succeed later.
func temporary(err error) bool {
	var pub *publish.Error
	return team.Temporary(err) || errors.As(err, &pub) && pub.Cause == "publish.endpoint-down"
}

// Retry calls f until it succeeds, fails for another reason than an unreachable
// server or bucket, or ctx is done; between two calls it waits RetryInterval.
// unreachable, which may be nil, is called with the first failure only.
func Retry(ctx context.Context, unreachable func(error), f func() error) error {
	for first := true; ; first = false {
		err := f()
		if err == nil || !temporary(err) {
			return err
		}
		if unreachable != nil && first {
			unreachable(err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(RetryInterval):
		}
	}
}

// SendInputs stores a build's inputs in the bucket.
func SendInputs(ctx context.Context, o *s3.Objects, id string, text []byte) (team.Piece, error) {
	p, err := o.Put(ctx, id, publish.File{Name: InputsFile, Data: text, MediaType: "application/json"})
	return team.Piece{Kind: team.Inputs, Name: InputsFile, SHA256: p.SHA256, Size: p.Size}, err
}

// ReadInputs reads a build's inputs from the bucket. Inputs that are malformed
// give a *team.Error with the cause team.order-invalid.
func ReadInputs(ctx context.Context, o *s3.Objects, id string, p team.Piece) (Inputs, error) {
	var in Inputs
	if p.Size > MaxInputs {
		return in, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("the inputs of build %s are too large (%d bytes)", id, p.Size)}
	}
	var text bytes.Buffer
	if err := o.Get(ctx, id, p.SHA256, p.Size, &text); err != nil {
		return in, err
	}
	dec := json.NewDecoder(&text)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return in, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("the inputs of build %s cannot be read: %v", id, err), Err: err}
	}
	if !slices.Contains(build.Steps, in.Until) || in.Until == build.StepPublish {
		return in, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("build %s ends with step %.80q: a worker runs the steps up to %s", id, in.Until, build.StepProve)}
	}
	return in, nil
}

// Digest returns the SHA-256 of text in lower-case hex.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Files of such a build's folder, beside job.json.
const (
	InputsFile   = "inputs.json"   // the inputs that the worker receives
	DeliveryFile = "delivery.json" // the worker's result, once there is one
)

// GivenUpError reports that the process of every worker that started a build
// ended before the build did.
type GivenUpError struct{ Build string }

func (e *GivenUpError) Error() string {
	return fmt.Sprintf("build %s was started several times, and each time its process ended before the build did: read the worker's log, then submit it again", e.Build)
}

// CauseID names the cause.
func (e *GivenUpError) CauseID() string { return "evidence.interrupted" }
