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

// Result is how a build ended on a worker. It is not signed: the submitter
// verifies the pieces that it lists.
type Result struct {
	Build   string        `json:"build"`
	Worker  string        `json:"worker"` // id of the worker's key
	Host    string        `json:"host"`
	Outcome event.Outcome `json:"outcome"`
	Msg     string        `json:"msg,omitempty"` // empty when the build passed
	Cause   string        `json:"cause,omitempty"`
	Class   string        `json:"class,omitempty"`
	Fix     string        `json:"fix,omitempty"`
	Pieces  []Piece       `json:"pieces"`
	At      time.Time     `json:"at"`
}

// maxPieces limits the length of Result.Pieces; a build makes far fewer.
const maxPieces = 256

// check returns an error if the result has a form that no worker writes.
func (r Result) check(build string) error {
	switch {
	case r.Build != build, len(r.Pieces) > maxPieces, !validName.MatchString(r.Worker):
	case r.Outcome != event.Passed && r.Outcome != event.Failed && r.Outcome != event.Cancelled:
	default:
		return nil
	}
	return &Error{"team.result-invalid", fmt.Sprintf("the result of build %s on the team's server is malformed: another program may have written it", build), nil}
}

// PutResult stores a build's result. An existing result is not replaced; made
// is false then.
func (s *Station) PutResult(ctx context.Context, r Result) (made bool, err error) {
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
		s.notifyStored(r.Build)
	}
	return err == nil, err
}

// Result returns how a build ended; ok is false if it has not ended.
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
