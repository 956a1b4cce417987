package backend

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

	"ingot/backend/build"
	"ingot/backend/jobs"
	"ingot/backend/publish"
	"ingot/backend/target"
	"ingot/backend/team"
)

// WorkerInfo is a worker of the team, as it was at its last heartbeat.
type WorkerInfo = team.Worker

// inputs is all that a worker is told of a build, in an object of the team's
// bucket. It is fixed when the build is submitted.
type inputs struct {
	Target target.Sent `json:"target"`
	Until  string      `json:"until"`
	Force  []string    `json:"force,omitempty"`
	Keep   bool        `json:"keep,omitempty"`
}

// maxInputs bounds what a worker reads: a lock has 55 KiB.
const maxInputs = 16 << 20

// inputsOf packs a submission. A worker never publishes.
func (b *Backend) inputsOf(s Submission) (inputs, error) {
	sent, err := b.targets.Send(s.Target)
	in := inputs{Target: sent, Until: s.Until, Keep: s.Keep}
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

// options are those of the build at the worker.
func (in inputs) options(id, name string) build.Options {
	return build.Options{ID: id, Target: name, Until: in.Until, Force: in.Force, Keep: in.Keep}
}

// checkTeam says what of a submission cannot be built by the team.
func (b *Backend) checkTeam(s Submission) error {
	wrong := func(format string, args ...any) error { return &build.OptionError{Msg: fmt.Sprintf(format, args...)} }
	switch {
	case b.config.Team.NATS == "" || b.config.Team.Store.Endpoint == "":
		return wrong("no team: set team.nats and team.store in %s (docs/team.md)", b.Home.ConfigFile())
	case len(b.workers) == 0:
		return wrong("no worker is believed: write the key of one under team.workers in %s; `ingot workers` shows them", b.Home.ConfigFile())
	case s.Guest != "":
		return wrong("a worker of the team has guests of its own: leave --guest out")
	case s.Check, s.Unproven, s.Renew:
		return wrong("--check, --unproven and --renew are for builds of this computer")
	}
	_, err := b.inputsOf(s)
	return err
}

// server is where the team's NATS server is.
func (b *Backend) server() jobs.Server {
	t := b.config.Team
	return jobs.Server{URL: t.NATS, Creds: t.Creds, CA: t.CAFile}
}

// objects opens the team's bucket.
func (b *Backend) objects(ctx context.Context) (*publish.Objects, error) {
	e, err := b.endpoint(b.config.Team.Store)
	if err != nil {
		return nil, err
	}
	return publish.OpenObjects(ctx, e)
}

// TeamWorkers lists the team's workers that were seen in the last minutes.
func (b *Backend) TeamWorkers(ctx context.Context) ([]WorkerInfo, error) {
	if b.config.Team.NATS == "" {
		return nil, &build.OptionError{Msg: fmt.Sprintf("no team: set team.nats in %s (docs/team.md)", b.Home.ConfigFile())}
	}
	s, err := team.Join(ctx, b.server(), jobs.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Workers(ctx)
}

// Believed tells whether this home takes over the worker's evidence.
func (b *Backend) Believed(w WorkerInfo) bool { return b.workers[w.ID] != nil }

// patience is the time between two attempts while the team's server or bucket is
// away.
const patience = 2 * time.Second

// comesBack tells whether a failed transfer is one that passes by itself.
func comesBack(err error) bool {
	var pub *publish.Error
	return team.Passes(err) || errors.As(err, &pub) && pub.Cause == "publish.endpoint-down"
}

// insist does something with the team's server or bucket, again and again while
// it is away, until ctx ends. away is told of the first failure; may be nil.
func insist(ctx context.Context, away func(error), do func() error) error {
	for told := false; ; told = true {
		err := do()
		if err == nil || !comesBack(err) {
			return err
		}
		if away != nil && !told {
			away(err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(patience):
		}
	}
}

// sendInputs puts a build's inputs into the bucket.
func sendInputs(ctx context.Context, o *publish.Objects, id string, text []byte) (team.Piece, error) {
	p, err := o.Put(ctx, id, publish.File{Name: inputsFile, Data: text, MediaType: "application/json"})
	return team.Piece{Kind: team.Inputs, Name: inputsFile, SHA256: p.SHA256, Size: p.Size}, err
}

// readInputs gets them from there.
func readInputs(ctx context.Context, o *publish.Objects, id string, p team.Piece) (inputs, error) {
	var in inputs
	if p.Size > maxInputs {
		return in, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("the inputs of build %s have %d bytes", id, p.Size)}
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
		return in, &team.Error{Cause: "team.order-invalid", Msg: fmt.Sprintf("build %s is to end with step %.80q: a worker goes up to %s", id, in.Until, build.StepProve)}
	}
	return in, nil
}

// sumOf is the SHA-256 of a text.
func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
