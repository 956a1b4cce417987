// Package team lets several computers build together. They share one NATS
// server and one bucket.
//
// A Station is a connection to the server. A submitter puts an Order into the
// team's queue (package jobs); the build's inputs are in the bucket. The job's
// class names the version of Ingot and the architecture, and a Worker of that
// class takes the job. The worker runs the build in its own home, sends the
// journal and the logs to a stream as they grow, stores the files that it made
// in the bucket under their digests, and stores a Result. The submitter follows
// the stream. It does not trust the result: it computes the digest of every
// file that it downloads from the bucket, and package evidence verifies the
// signatures.
//
// The server may become unreachable at any time: a Sender resumes after the
// last message that the stream has, and a follower after the last sequence
// number that it has read. The package runs no builds and does not read the
// bucket.
//
// External facts: JetStream's streams, direct reads of the next message of a
// subject, key-value buckets with a time to live (docs.nats.io).
package team

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ingot/backend/jobs"
)

const (
	streamName   = "TEAM"
	resultBucket = "RESULTS"
	workerBucket = "WORKERS"

	// KeptFor is how long the server keeps events, logs and results.
	KeptFor = 14 * 24 * time.Hour

	streamBytes = 512 << 20 // the oldest messages are deleted first; the bucket has the whole logs
	maxMessage  = 256 << 10 // bytes of an event, and of one message of a log
	maxLog      = 1 << 30   // bytes of one log
	callLimit   = 5 * time.Second
)

// Station is a connection to a team's server. Its methods are safe for
// concurrent use, except Close, after which no method may be called.
type Station struct {
	Queue   *jobs.Queue
	url     string
	js      jetstream.JetStream
	stream  jetstream.Stream
	results jetstream.KeyValue
	workers jetstream.KeyValue
}

// Error is a failure between this computer and the team, with its cause id.
type Error struct {
	Cause, Msg string
	Err        error
}

func (e *Error) Error() string   { return e.Msg }
func (e *Error) Unwrap() error   { return e.Err }
func (e *Error) CauseID() string { return e.Cause }

// classify gives a failed connection its cause.
func classify(url string, err error) error {
	var classified *Error
	if err == nil || errors.As(err, &classified) || errors.Is(err, context.Canceled) {
		return err
	}
	id, detail := "team.unreachable", err.Error()
	var ca x509.UnknownAuthorityError
	var host x509.HostnameError
	switch text := detail; {
	case strings.Contains(text, "rootCA"):
		id = "team.tls"
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		detail = "it does not answer"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), strings.Contains(text, "Authorization Violation"), strings.Contains(text, "credentials"):
		id = "team.credentials"
	case errors.As(err, &ca), errors.As(err, &host), strings.Contains(text, "tls: "), strings.Contains(text, "secure connection"):
		id = "team.tls"
	}
	return &Error{id, fmt.Sprintf("the team's server %s: %s", url, detail), err}
}

// Explain gives an error of the station's queue its cause. An error that has a
// cause is returned as it is.
func (s *Station) Explain(err error) error {
	var named interface{ CauseID() string }
	if errors.As(err, &named) {
		return err
	}
	return classify(s.url, err)
}

// Temporary reports whether the error means that the server is unreachable, so
// that the same call may succeed later.
func Temporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Cause == "team.unreachable"
}

// Join connects to the server and creates or updates the stream and the
// buckets. The cause of a failure is team.unreachable, team.credentials or
// team.tls.
func Join(ctx context.Context, server jobs.Server, opt jobs.Options) (*Station, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*callLimit)
	defer cancel()
	q, err := jobs.Connect(ctx, server, opt)
	if err != nil {
		return nil, classify(server.URL, err)
	}
	s := &Station{Queue: q, url: server.URL, js: q.JetStream()}
	if err := s.open(ctx); err != nil {
		q.Close()
		return nil, classify(server.URL, err)
	}
	return s, nil
}

func (s *Station) open(ctx context.Context) (err error) {
	if s.stream, err = s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"team.event.>", "team.log.>"},
		Storage: jetstream.FileStorage, MaxAge: KeptFor, MaxBytes: streamBytes, MaxMsgSize: 2 * maxMessage}); err != nil {
		return fmt.Errorf("stream %s: %w", streamName, err)
	}
	if s.results, err = s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: resultBucket, TTL: KeptFor, Storage: jetstream.FileStorage}); err != nil {
		return fmt.Errorf("bucket %s: %w", resultBucket, err)
	}
	if s.workers, err = s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: workerBucket, TTL: workerTTL, Storage: jetstream.FileStorage}); err != nil {
		return fmt.Errorf("bucket %s: %w", workerBucket, err)
	}
	return nil
}

// Close closes the connection.
func (s *Station) Close() { s.Queue.Close() }

// Order is the data of a team's job. It names the build's inputs, an object in
// the team's bucket below the build's id.
type Order struct {
	Version string `json:"version"` // of Ingot
	Arch    string `json:"arch"`    // of the target
	Inputs  Piece  `json:"inputs"`
}

// Class returns the job class that a worker needs to run the order.
func (o Order) Class() string { return class(o.Version, o.Arch) }

var invalidInClass = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

func class(version, arch string) string {
	return invalidInClass.ReplaceAllString(version+"_"+arch, "-")
}

// Piece is an object in the team's bucket, named by the build's id and its
// digest.
type Piece struct {
	Kind   PieceKind `json:"kind"`
	Name   string    `json:"name"` // of the file, relative to the build's folder, with slashes
	SHA256 string    `json:"sha256"`
	Size   int64     `json:"size"`
}

// PieceKind is the kind of a Piece.
type PieceKind string

// Kinds of pieces.
const (
	Inputs   PieceKind = "inputs"   // the target and options of an Order
	Document PieceKind = "evidence" // evidence; Name is the document's id
	Artifact PieceKind = "artifact" // an exported file; Name is its file name
	Record   PieceKind = "record"   // a log or a screenshot; Name is relative to the build's folder
)

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// subject joins tokens to a NATS subject. Dots inside a token are replaced,
// since they separate tokens.
func subject(tokens ...string) string {
	for i, w := range tokens {
		tokens[i] = strings.ReplaceAll(w, ".", "=")
	}
	return strings.Join(tokens, ".")
}
