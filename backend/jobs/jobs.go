// Package jobs is the goroutine pool: a durable queue with leases, on NATS
// JetStream.
//
// A Job is one piece of work with an id that was fixed when it was submitted.
// A Queue keeps jobs in a work-queue stream, one subject a lane and target, one
// consumer a lane: delivery is at least once, so a handler looks at what is
// done before it does it again. A worker takes jobs from the lanes, the
// interactive one first, as far as its slots reach. While it runs a job it says
// so every third of AckWait; the job of a worker that fell silent is delivered
// to another one. One job a target runs at a time, over all lanes and machines:
// that is a lease, a key of a bucket with a time to live, fenced by its
// revision. The package knows no build; what a job does is its handler's
// matter, and so is the record of how it ended.
//
// The server is embedded and listens nowhere (Embedded), or a team's (Connect);
// the rest is the same code. A team's jobs have a class, which says what a
// worker must be to run them: a worker looks only at the classes that it named,
// so that a job which nobody can run waits, and is not handed around.
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
)

// Lane is a class of the queue. Interactive jobs come first.
type Lane string

// Lanes in the order in which workers look at them.
const (
	Interactive Lane = "interactive"
	Batch       Lane = "batch"
)

var lanes = []Lane{Interactive, Batch}

// Job is one piece of work.
type Job struct {
	ID     string          `json:"id"`     // unique; submitting it twice queues it once
	Target string          `json:"target"` // one job a target runs at a time
	Lane   Lane            `json:"lane"`
	Class  string          `json:"class,omitempty"`  // which workers can run it; "" in a queue of one machine
	Weight int             `json:"weight,omitempty"` // slots that it takes; 0 counts as 1
	Data   json.RawMessage `json:"data,omitempty"`
}

// Handler runs a job. Its context ends when the job is cancelled (the cause is
// ErrCancelled), when the lease is lost (ErrLeaseLost) or when the worker stops
// (ErrStopping). nil and any error but *RetryError and the latter two end the
// job for good: the handler has recorded how.
type Handler func(ctx context.Context, j Job, attempt Attempt) error

// Attempt says which delivery of the job this is.
type Attempt struct {
	Number int    // 1 for the first
	Fence  uint64 // revision of the lease: grows with every holder
	Last   bool   // a RetryError would be the last word
}

// Causes of a handler's context.
var (
	ErrCancelled error = &stopError{"the job was cancelled"}
	ErrLeaseLost error = &stopError{"another worker has taken the job over"}
	ErrStopping  error = &stopError{"the worker stops"}
)

// notRenewed is an ErrLeaseLost of a job that nobody else has taken yet: the
// queue did not renew its lease in time.
type notRenewed struct{ err error }

func (e *notRenewed) Error() string {
	return fmt.Sprintf("the queue did not renew the job's lease: %v", e.err)
}
func (e *notRenewed) Unwrap() error { return e.err }
func (e *notRenewed) Is(target error) bool {
	return target == ErrLeaseLost || target == context.Canceled
}

// stopError is the cause of a context that was cancelled, and counts as
// context.Canceled.
type stopError struct{ msg string }

func (e *stopError) Error() string        { return e.msg }
func (e *stopError) Is(target error) bool { return target == context.Canceled }

// RetryError asks for another delivery after a while, as its cause can pass.
type RetryError struct {
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return fmt.Sprintf("%v (again in %s)", e.Err, e.After) }
func (e *RetryError) Unwrap() error { return e.Err }

// Options tune a queue. Zero values are those of production.
type Options struct {
	AckWait    time.Duration // 30 s: how long a silent worker keeps its job and its lease
	MaxDeliver int           // 5 deliveries
	NoLeases   bool          // chaos tests only: shows what happens without
	Classes    []string      // whose jobs a worker of this queue takes; none is the class ""
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
	duplicates  = 2 * time.Minute // how long the stream remembers ids
)

// Queue is a connection to the jobs. Its methods may be called from several
// goroutines; Close ends all of them.
type Queue struct {
	opt    Options
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	leases jetstream.KeyValue
	stop   func()    // of the embedded server
	back   comebacks // of a server that was away
}

// open makes sure of stream, consumers and bucket. own says that the server is
// this process's: which jobs are run and by whom is then kept in memory alone,
// since nobody else can be running one when it starts. A full disk takes no
// lease away, and nothing has to be synced for one.
func open(ctx context.Context, conn *nats.Conn, opt Options, own bool) (*Queue, error) {
	q := &Queue{opt: opt.withDefaults(), conn: conn, stop: func() {}}
	conn.SetReconnectHandler(func(*nats.Conn) { q.back.tell() })
	var err error
	if q.js, err = jetstream.New(conn); err != nil {
		return nil, err
	}
	if q.stream, err = q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"jobs.>"},
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Duplicates: duplicates}); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	leases := jetstream.KeyValueConfig{Bucket: leaseBucket, TTL: q.opt.AckWait, Storage: jetstream.FileStorage}
	if own {
		leases.Storage = jetstream.MemoryStorage
		if err := q.js.DeleteKeyValue(ctx, leaseBucket); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
			return nil, fmt.Errorf("queue: leases: %w", err)
		}
	}
	for _, l := range lanes {
		for _, c := range q.opt.Classes {
			if err := q.openLane(ctx, l, c, own); err != nil {
				return nil, fmt.Errorf("queue: lane %s: %w", l, err)
			}
		}
	}
	if q.leases, err = q.js.CreateOrUpdateKeyValue(ctx, leases); err != nil {
		return nil, fmt.Errorf("queue: leases: %w", err)
	}
	return q, nil
}

// classUnused is when the consumer of a class that no worker asks for any more
// goes: that of an old version. Its jobs stay.
const classUnused = 24 * time.Hour

// openLane makes sure of the consumer of a lane and class.
func (q *Queue) openLane(ctx context.Context, l Lane, class string, own bool) error {
	cfg := jetstream.ConsumerConfig{Durable: laneName(l, class), FilterSubject: Job{Lane: l, Class: class}.under() + "*",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.opt.AckWait, MaxDeliver: q.opt.MaxDeliver, MemoryStorage: own}
	if class != "" {
		cfg.InactiveThreshold = classUnused
	}
	if own {
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

// Server is where a team's queue is.
type Server struct {
	URL   string // nats:// or tls://host[:port]
	Creds string // credentials file; "" for none
	CA    string // file with the certificates that the server's is checked with; "" is the system's
}

// Connect joins a team's server. While it is away calls fail at once, and the
// connection comes back by itself.
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

// JetStream is the connection, for what else a team keeps on its server.
func (q *Queue) JetStream() jetstream.JetStream { return q.js }

// Close leaves the queue; an embedded server is shut down.
func (q *Queue) Close() {
	q.conn.Close()
	q.stop()
}

var word = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`)

// Submit queues a job. When it returns nil the job is on disk.
func (q *Queue) Submit(ctx context.Context, j Job) error {
	if !word.MatchString(j.ID) || !word.MatchString(j.Target) || j.Lane != Interactive && j.Lane != Batch || j.Class != "" && !word.MatchString(j.Class) {
		return fmt.Errorf("queue: %q of target %q, class %q, in lane %q is no job", j.ID, j.Target, j.Class, j.Lane)
	}
	data, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if _, err := q.js.Publish(ctx, j.subject(), data, jetstream.WithMsgID(j.ID)); err != nil {
		return fmt.Errorf("queue job %s: %w", j.ID, err)
	}
	return q.conn.Publish(wakeSubject, nil)
}

func (j Job) subject() string { return j.under() + token(j.Target) }

// under is the subject of the job's lane and class, with a dot at its end.
// Subjects with a class have a token more, so that no two consumers get the
// same job.
func (j Job) under() string {
	if j.Class == "" {
		return "jobs." + string(j.Lane) + "."
	}
	return "jobs." + string(j.Lane) + "." + token(j.Class) + "."
}

// token makes a name one token of a subject: dots would split it. Names hold no
// equals sign, so that no two become the same.
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

// kept is a job in the stream: waiting, or being run.
type kept struct {
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

// Holds tells whether the job has not ended.
func (q *Queue) Holds(ctx context.Context, id string) (bool, error) {
	all, err := q.pending(ctx)
	return slices.ContainsFunc(all, func(k kept) bool { return k.ID == id }), err
}

// pending walks the stream: JetStream lists no messages, and a queue is short.
func (q *Queue) pending(ctx context.Context) ([]kept, error) {
	info, err := q.stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	var out []kept
	for seq := info.State.FirstSeq; info.State.Msgs > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := q.stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
		k := kept{seq: seq}
		if json.Unmarshal(m.Data, &k.Job) == nil {
			out = append(out, k)
		}
	}
	return out, nil
}

// Cancel ends a job: one that runs gets ErrCancelled, and running is true; one
// that waits is taken out of the queue, and recording its end is the caller's
// matter. A job that is not there gives ErrNoJob.
func (q *Queue) Cancel(ctx context.Context, id string) (running bool, err error) {
	for range 5 { // between the two looks a worker may take it
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
	return false, fmt.Errorf("cancel job %s: no worker answers for it", id)
}

// ErrNoJob says that the queue does not hold the job.
var ErrNoJob = errors.New("there is no such job in the queue")

func cancelSubject(id string) string { return "ingot.cancel." + token(id) }
