// Package team is what several computers build with: one NATS server and one
// bucket.
//
// A Station is a connection to the server. A submitter puts an Order into the
// team's queue (package jobs); the inputs lie in the bucket. A Worker that can
// run it – of the same version of Ingot, with guests of the target's
// architecture: that is the job's class – runs it at home, sends its journal and
// its logs to a stream as they grow, puts what it made into the bucket under its
// digests, and leaves a Result. The submitter follows the stream, and believes
// nothing of the result: it hashes again what it takes out of the bucket, and
// asks package evidence for the signatures.
//
// The server may be away at any time: a Sender sends again from where the stream
// ends, a follower asks again for what comes after its last number. The package
// runs no build and reads no bucket.
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

	streamBytes = 512 << 20 // the oldest go first; logs travel through the bucket as well
	maxMessage  = 256 << 10 // bytes of a log in one message, and of an event
	maxLog      = 1 << 30   // bytes of one log
	callLimit   = 5 * time.Second
)

// Station is a connection to a team's server. Its methods may be called from
// several goroutines; Close ends all of them.
type Station struct {
	Queue   *jobs.Queue
	url     string
	js      jetstream.JetStream
	stream  jetstream.Stream
	results jetstream.KeyValue
	workers jetstream.KeyValue
}

// Error is what went wrong between this computer and the team, by its cause id.
type Error struct {
	Cause, Msg string
	Err        error
}

func (e *Error) Error() string   { return e.Msg }
func (e *Error) Unwrap() error   { return e.Err }
func (e *Error) CauseID() string { return e.Cause }

// classify names the cause of a failed connection.
func classify(url string, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	id, said := "team.unreachable", err.Error()
	var ca x509.UnknownAuthorityError
	var host x509.HostnameError
	switch text := said; {
	case strings.Contains(text, "rootCA"):
		id = "team.tls"
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		said = "it does not answer"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), strings.Contains(text, "Authorization Violation"), strings.Contains(text, "credentials"):
		id = "team.credentials"
	case errors.As(err, &ca), errors.As(err, &host), strings.Contains(text, "tls: "), strings.Contains(text, "secure connection"):
		id = "team.tls"
	}
	return &Error{id, fmt.Sprintf("the team's server %s: %s", url, said), err}
}

// Explain names the cause of an error of the station's queue; errors that have
// one keep it.
func (s *Station) Explain(err error) error {
	var named interface{ CauseID() string }
	if errors.As(err, &named) {
		return err
	}
	return classify(s.url, err)
}

// Passes tells whether the failure passes by itself: the server is away.
func Passes(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Cause == "team.unreachable"
}

// Join connects and makes sure of stream and buckets. The failure's cause is
// team.unreachable, team.credentials or team.tls.
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
	if s.workers, err = s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: workerBucket, TTL: forgotten, Storage: jetstream.FileStorage}); err != nil {
		return fmt.Errorf("bucket %s: %w", workerBucket, err)
	}
	return nil
}

// Close leaves the team.
func (s *Station) Close() { s.Queue.Close() }

// Order is a job's data: where the build's inputs lie in the team's bucket, in
// the folder named by the build.
type Order struct {
	Version string `json:"version"` // of Ingot
	Arch    string `json:"arch"`    // of the target
	Inputs  Piece  `json:"inputs"`
}

// Class names which workers can run the order.
func (o Order) Class() string { return class(o.Version, o.Arch) }

var unfit = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

func class(version, arch string) string { return unfit.ReplaceAllString(version+"_"+arch, "-") }

// Piece is an object of the build's folder in the bucket, by its digest.
type Piece struct {
	Kind   PieceKind `json:"kind"`
	Name   string    `json:"name"` // of the file it is; relative to the build's folder, with slashes
	SHA256 string    `json:"sha256"`
	Size   int64     `json:"size"`
}

// PieceKind says what a piece is.
type PieceKind string

// Kinds of pieces.
const (
	Inputs   PieceKind = "inputs"   // of the order
	Document PieceKind = "evidence" // Name is the document's id
	Artifact PieceKind = "artifact" // an exported file; Name is its own
	Record   PieceKind = "record"   // a log or a screenshot; Name is relative to the build's folder
)

var word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// subject puts words together; a word's dots would split it.
func subject(words ...string) string {
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, ".", "=")
	}
	return strings.Join(words, ".")
}
