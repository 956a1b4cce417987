package team

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ingot/backend/event"
)

// Result is how a build ended at a worker. Nothing in it is proved: the
// submitter looks at the pieces.
type Result struct {
	Build   string        `json:"build"`
	Worker  string        `json:"worker"` // id of its key
	Host    string        `json:"host"`
	Outcome event.Outcome `json:"outcome"`
	Msg     string        `json:"msg,omitempty"` // of what did not pass
	Cause   string        `json:"cause,omitempty"`
	Class   string        `json:"class,omitempty"`
	Fix     string        `json:"fix,omitempty"`
	Pieces  []Piece       `json:"pieces"`
	At      time.Time     `json:"at"`
}

// maxPieces is more than any build makes.
const maxPieces = 256

// check refuses a result that cannot be one of the build.
func (r Result) check(build string) error {
	switch {
	case r.Build != build, len(r.Pieces) > maxPieces, !word.MatchString(r.Worker):
	case r.Outcome != event.Passed && r.Outcome != event.Failed && r.Outcome != event.Cancelled:
	default:
		return nil
	}
	return &Error{"team.result-invalid", fmt.Sprintf("the team's server holds a result of build %s that cannot be one", build), nil}
}

// End leaves a build's result. The first one stays: made is false when there is
// one already.
func (s *Station) End(ctx context.Context, r Result) (made bool, err error) {
	if err := r.check(r.Build); err != nil {
		return false, err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("result of build %s: %w", r.Build, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err = s.results.Create(ctx, subject(r.Build), data)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return false, nil
	}
	if err == nil {
		s.stored(r.Build)
	}
	return err == nil, err
}

// Result looks how a build ended; ok is false when it has not.
func (s *Station) Result(ctx context.Context, build string) (r Result, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	e, err := s.results.Get(ctx, subject(build))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if json.Unmarshal(e.Value(), &r) != nil {
		r = Result{}
	}
	return r, true, r.check(build)
}
