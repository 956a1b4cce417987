// Package jobs is a durable work queue with leases, on NATS JetStream.
//
// A Job is one piece of work with an id that is fixed when it is submitted. A
// Queue keeps jobs in a work-queue stream, with one subject per lane and target
// and one consumer per lane. Delivery is at least once, so a handler checks
// what an earlier delivery has completed before it repeats any work. A Worker
// takes jobs from the lanes, the interactive lane first, as long as it has free
// slots. While it runs a job it acknowledges progress every third of AckWait;
// if it stops doing so, the job is delivered to another worker. Only one job
// per target runs at a time, over all lanes and machines: a worker holds a
// lease, which is a key with a time to live in a key-value bucket, fenced by
// the key's revision. The package knows nothing of builds: the handler does the
// work and records its result.
//
// The server is either embedded and listens on no socket (Embedded), or it is a
// team's server (Connect); the rest of the code is the same. A team's job has a
// class, which names the properties that a worker needs to run it. A worker
// reads only the consumers of its own classes, so a job that no worker can run
// stays in the queue.
//
// External facts: work-queue streams and consumers with disjoint filters,
// AckWait, MaxDeliver and its advisory, Nats-Msg-Id (docs.nats.io, JetStream);
// without SyncAlways the file store syncs every two minutes.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ingot/backend/home"
)

// Lane is a priority class of the queue. Interactive jobs are started first.
type Lane string

// Lanes in the order in which workers look at them.
const (
	Interactive Lane = "interactive"
	Batch       Lane = "batch"
)

var lanes = []Lane{Interactive, Batch}

// Job is one piece of work.
type Job struct {
	ID     string          `json:"id"`     // unique; a second submission with the same id is ignored
	Target string          `json:"target"` // only one job per target runs at a time
	Lane   Lane            `json:"lane"`
	Class  string          `json:"class,omitempty"`  // properties that a worker needs; "" in a queue of one machine
	Weight int             `json:"weight,omitempty"` // slots that the job occupies; 0 counts as 1
	Data   json.RawMessage `json:"data,omitempty"`
}

// Handler runs a job. Its context is cancelled with the cause ErrCancelled when
// the job is cancelled, ErrLeaseLost when the lease is lost, and ErrStopping
// when the worker stops. If the handler returns a *RetryError, or its context
// ended with one of the latter two causes, the job is delivered again. Any
// other result, nil or an error, removes the job from the queue: the handler
// has recorded the outcome.
type Handler func(ctx context.Context, j Job, attempt Attempt) error

// Attempt describes one delivery of a job.
type Attempt struct {
	Number int    // 1 for the first
	Fence  uint64 // revision of the lease; it grows with every holder
	Last   bool   // a RetryError would not lead to another delivery
}

// Causes of a handler's context.
var (
	ErrCancelled error = &stopError{"the job was cancelled"}
	ErrLeaseLost error = &stopError{"another worker has taken the job over"}
	ErrStopping  error = &stopError{"the worker stops"}
)

// notRenewed is the ErrLeaseLost of a job whose lease was not renewed in time,
// before another worker has taken the job.
type notRenewed struct{ err error }

func (e *notRenewed) Error() string {
	return fmt.Sprintf("the queue did not renew the job's lease: %v", e.err)
}
func (e *notRenewed) Unwrap() error { return e.err }
func (e *notRenewed) Is(target error) bool {
	return target == ErrLeaseLost || target == context.Canceled
}

// stopError is the cause of a cancelled context. errors.Is reports it as
// context.Canceled.
type stopError struct{ msg string }

func (e *stopError) Error() string        { return e.msg }
func (e *stopError) Is(target error) bool { return target == context.Canceled }

// RetryError asks for another delivery of the job after a delay, because the
// failure may be temporary.
type RetryError struct {
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return fmt.Sprintf("%v (again in %s)", e.Err, e.After) }
func (e *RetryError) Unwrap() error { return e.Err }

// Options configure a queue. A zero value means the default.
type Options struct {
	AckWait    time.Duration // default 30 s: time without acknowledgement after which a job is delivered again and its lease expires
	MaxDeliver int           // default 5: deliveries of a job before it is given up
	NoLeases   bool          // for chaos tests only, to show the effect of the leases
	Classes    []string      // job classes that a worker of this queue accepts; none means the class ""
}

func (o Options) withDefaults() Options {
	if o.AckWait == 0 {
		o.AckWait = 30 * time.Second
	}
	if o.MaxDeliver == 0 {
		o.MaxDeliver = 5
	}
	if len(o.Classes) == 0 {
		o.Classes = []string{""}
	}
	return o
}

const (
	stream      = "JOBS"
	leaseBucket = "LEASES"
	wakeSubject = "ingot.wake"
	duplicates  = 2 * time.Minute // how long the stream recognises a submitted id again
)

// Queue is a connection to the stream of jobs. Its methods are safe for
// concurrent use, except Close, after which no method may be called.
type Queue struct {
	opt        Options
	conn       *nats.Conn
	js         jetstream.JetStream
	stream     jetstream.Stream
	leases     jetstream.KeyValue
	stop       func()     // shuts the embedded server down
	dir        string     // of the embedded server; "" for a team's
	reconnects reconnects // to a team's server
}

// open creates or updates the stream, the consumers and the lease bucket. With
// embedded set, the server belongs to this process, so no other process can be
// running a job: the state of deliveries and leases is kept in memory and
// starts empty. A full disk then takes no lease away, and nothing has to be
// synced for one.
func open(ctx context.Context, conn *nats.Conn, opt Options, embedded bool) (*Queue, error) {
	q := &Queue{opt: opt.withDefaults(), conn: conn, stop: func() {}}
	conn.SetReconnectHandler(func(*nats.Conn) { q.reconnects.signal() })
	var err error
	if q.js, err = jetstream.New(conn); err != nil {
		return nil, err
	}
	if q.stream, err = q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"jobs.>"},
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Duplicates: duplicates}); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	leases := jetstream.KeyValueConfig{Bucket: leaseBucket, TTL: q.opt.AckWait, Storage: jetstream.FileStorage}
	if embedded {
		leases.Storage = jetstream.MemoryStorage
		if err := q.js.DeleteKeyValue(ctx, leaseBucket); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
			return nil, fmt.Errorf("queue: leases: %w", err)
		}
	}
	for _, l := range lanes {
		for _, c := range q.opt.Classes {
			if err := q.openLane(ctx, l, c, embedded); err != nil {
				return nil, fmt.Errorf("queue: lane %s: %w", l, err)
			}
		}
	}
	if q.leases, err = q.js.CreateOrUpdateKeyValue(ctx, leases); err != nil {
		return nil, fmt.Errorf("queue: leases: %w", err)
	}
	return q, nil
}

// classUnused is the time after which the server deletes the consumer of a
// class that no worker has used, such as that of an old version. The jobs of
// the class stay in the stream.
const classUnused = 24 * time.Hour

// openLane creates or updates the consumer of a lane and class.
func (q *Queue) openLane(ctx context.Context, l Lane, class string, embedded bool) error {
	cfg := jetstream.ConsumerConfig{Durable: laneName(l, class), FilterSubject: Job{Lane: l, Class: class}.subjectPrefix() + "*",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.opt.AckWait, MaxDeliver: q.opt.MaxDeliver, MemoryStorage: embedded}
	if class != "" {
		cfg.InactiveThreshold = classUnused
	}
	if embedded {
		if err := q.stream.DeleteConsumer(ctx, cfg.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	_, err := q.stream.CreateOrUpdateConsumer(ctx, cfg)
	return err
}

func laneName(l Lane, class string) string {
	if class == "" {
		return string(l)
	}
	return string(l) + "-" + token(class)
}

// Server is the address of a team's queue.
type Server struct {
	URL   string // nats:// or tls://host[:port]
	Creds string // credentials file; "" means none
	CA    string // PEM file of the CAs that may sign the server's certificate; "" means the system's
}

// Connect connects to a team's server. While the server is unreachable, calls
// fail at once; the client reconnects in the background.
func Connect(ctx context.Context, s Server, opt Options) (*Queue, error) {
	o := []nats.Option{nats.Name("ingot"), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second), nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort()}
	if s.Creds != "" {
		o = append(o, nats.UserCredentials(s.Creds))
	}
	if s.CA != "" {
		o = append(o, nats.RootCAs(s.CA))
	}
	conn, err := nats.Connect(s.URL, o...)
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", s.URL, err)
	}
	q, err := open(ctx, conn, opt, false)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// JetStream returns the connection's JetStream context, for the team's other
// streams and buckets.
func (q *Queue) JetStream() jetstream.JetStream { return q.js }

// Close closes the connection and shuts an embedded server down.
func (q *Queue) Close() {
	q.conn.Close()
	q.stop()
}

var validName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`)

// Submit queues a job. When it returns nil, the job is stored on disk.
func (q *Queue) Submit(ctx context.Context, j Job) error {
	if !validName.MatchString(j.ID) || !validName.MatchString(j.Target) || j.Lane != Interactive && j.Lane != Batch || j.Class != "" && !validName.MatchString(j.Class) {
		return fmt.Errorf("queue: invalid job %q (target %q, class %q, lane %q): names have letters, digits, dots, dashes and underscores; the lanes are %s and %s", j.ID, j.Target, j.Class, j.Lane, Interactive, Batch)
	}
	data, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if _, err := q.js.Publish(ctx, j.subject(), data, jetstream.WithMsgID(j.ID)); err != nil {
		return q.full(fmt.Errorf("queue job %s: %w", j.ID, err))
	}
	return q.conn.Publish(wakeSubject, nil)
}

// full names a full disk, which JetStream reports in its own words or by other
// errors. A team's server has a disk of its own.
func (q *Queue) full(err error) error {
	if q.dir == "" {
		return err
	}
	return home.Full(q.dir, "the queue of builds", err)
}

func (j Job) subject() string { return j.subjectPrefix() + token(j.Target) }

// subjectPrefix returns the subject of the job's lane and class, with a
// trailing dot. A subject with a class has one token more, so that no two
// consumers receive the same job.
func (j Job) subjectPrefix() string {
	if j.Class == "" {
		return "jobs." + string(j.Lane) + "."
	}
	return "jobs." + string(j.Lane) + "." + token(j.Class) + "."
}

// token turns a name into one token of a NATS subject by replacing its dots,
// which separate tokens. Names contain no equals sign, so different names give
// different tokens.
func token(name string) string {
	out := make([]byte, 0, len(name))
	for i := range len(name) {
		if name[i] == '.' {
			out = append(out, '=')
			continue
		}
		out = append(out, name[i])
	}
	return string(out)
}

// queuedJob is a job in the stream, waiting or running, with its sequence
// number.
type queuedJob struct {
	Job
	seq uint64
}

// Pending lists the jobs that have not ended, oldest first.
func (q *Queue) Pending(ctx context.Context) ([]Job, error) {
	all, err := q.pending(ctx)
	out := make([]Job, len(all))
	for i, k := range all {
		out[i] = k.Job
	}
	return out, err
}

// Holds reports whether the job is in the queue: waiting or running.
func (q *Queue) Holds(ctx context.Context, id string) (bool, error) {
	all, err := q.pending(ctx)
	return slices.ContainsFunc(all, func(k queuedJob) bool { return k.ID == id }), err
}

// pending reads the stream message by message, since JetStream has no call that
// lists them. A queue is short.
func (q *Queue) pending(ctx context.Context) ([]queuedJob, error) {
	info, err := q.stream.Info(ctx)
	if err != nil {
		return nil, q.full(fmt.Errorf("queue: %w", err))
	}
	var out []queuedJob
	for seq := info.State.FirstSeq; info.State.Msgs > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := q.stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, q.full(fmt.Errorf("queue: %w", err))
		}
		k := queuedJob{seq: seq}
		if json.Unmarshal(m.Data, &k.Job) == nil {
			out = append(out, k)
		}
	}
	return out, nil
}

// Cancel ends a job. If the job is running, its handler's context is cancelled
// with ErrCancelled and running is true. If it is waiting, it is removed from
// the queue, and the caller has to record its end. It returns ErrNoJob if the
// queue does not hold the job.
func (q *Queue) Cancel(ctx context.Context, id string) (running bool, err error) {
	for range 5 { // a worker may start the job between the request and the deletion
		if _, err := q.conn.RequestWithContext(ctx, cancelSubject(id), nil); err == nil {
			return true, nil
		} else if !errors.Is(err, nats.ErrNoResponders) {
			return false, fmt.Errorf("cancel job %s: %w", id, err)
		}
		all, err := q.pending(ctx)
		if err != nil {
			return false, err
		}
		found := false
		for _, k := range all {
			if k.ID != id {
				continue
			}
			found = true
			if err := q.stream.DeleteMsg(ctx, k.seq); err == nil {
				return false, nil
			}
		}
		if !found {
			return false, ErrNoJob
		}
	}
	return false, fmt.Errorf("cancel job %s: no worker acknowledged the request: try again", id)
}

// ErrNoJob reports that the queue does not hold the job.
var ErrNoJob = errors.New("there is no such job in the queue")

func cancelSubject(id string) string { return "ingot.cancel." + token(id) }
