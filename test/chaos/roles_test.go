//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/event"
	"ingot/backend/jobs"
)

const (
	artifactSize = 8 << 20
	ackWait      = 3 * time.Second // ten times quicker than in production
	targets      = 3               // fewer than the workers' slots
	bucket       = "ingot"
)

// setting is what a role is told by its environment.
type setting struct {
	role, nats, dir, s3 string
	user, secret        string
	jobs                int
	leases              bool
}

func fromEnv() setting {
	n, _ := strconv.Atoi(os.Getenv("CHAOS_JOBS"))
	return setting{role: os.Getenv("CHAOS_ROLE"), nats: os.Getenv("CHAOS_NATS"), dir: os.Getenv("CHAOS_DIR"), s3: os.Getenv("CHAOS_S3"),
		user: os.Getenv("CHAOS_S3_USER"), secret: os.Getenv("CHAOS_S3_SECRET"), jobs: n, leases: os.Getenv("CHAOS_LEASES") != "off"}
}

func (s setting) env() []string {
	leases := "on"
	if !s.leases {
		leases = "off"
	}
	return append(os.Environ(), "CHAOS_ROLE="+s.role, "CHAOS_NATS="+s.nats, "CHAOS_DIR="+s.dir, "CHAOS_S3="+s.s3,
		"CHAOS_S3_USER="+s.user, "CHAOS_S3_SECRET="+s.secret, "CHAOS_JOBS="+strconv.Itoa(s.jobs), "CHAOS_LEASES="+leases)
}

func (s setting) store() (*minio.Client, error) {
	return minio.New(s.s3, &minio.Options{Creds: credentials.NewStaticV4(s.user, s.secret, ""), BucketLookup: minio.BucketLookupPath, MaxRetries: 3})
}

// connect waits for a server: it may be the one that was just killed.
func (s setting) connect(ctx context.Context) (*jobs.Queue, error) {
	for {
		q, err := jobs.Connect(ctx, jobs.Server{URL: s.nats}, jobs.Options{AckWait: ackWait, MaxDeliver: 100, NoLeases: !s.leases})
		if err == nil {
			return q, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s setting) job(i int) jobs.Job {
	return jobs.Job{ID: fmt.Sprintf("j%04d", i), Target: fmt.Sprintf("t%d", i%targets), Lane: []jobs.Lane{jobs.Interactive, jobs.Batch}[i/targets%2]}
}

// work is a worker process.
func work(s setting) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w := worker{s: s, children: event.Children{Dir: filepath.Join(s.dir, "children")}}
	orphans, err := w.children.Orphans()
	if err != nil {
		return err
	}
	for _, o := range orphans {
		o.End()
		if err := o.Forget(); err != nil {
			return err
		}
	}
	if w.s3, err = s.store(); err != nil {
		return err
	}
	if w.runs, err = os.OpenFile(filepath.Join(s.dir, "runs", fmt.Sprint(os.Getpid())), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	q, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer q.Close()
	return jobs.Worker{Slots: 2, Handle: w.handle}.Run(ctx, q)
}

type worker struct {
	s        setting
	s3       *minio.Client
	runs     *os.File
	children event.Children
}

// mark is a line of a worker's diary: what ran when.
type mark struct {
	Job, Target string
	Run         int64 // the same in both marks of a run
	End         bool
	At          time.Time
}

func (w *worker) note(m mark) {
	m.At = time.Now()
	line, _ := json.Marshal(m)
	_, _ = w.runs.Write(append(line, '\n')) // one write a line
}

// terminal is the record of a job's end.
type terminal struct {
	Job, SHA256 string
	Worker      int
	Fence       uint64
}

// handle makes an artifact in a child process, hashes it and publishes it.
func (w *worker) handle(ctx context.Context, j jobs.Job, a jobs.Attempt) error {
	if _, err := w.s3.StatObject(ctx, bucket, "terminal/"+j.ID+".json", minio.StatObjectOptions{}); err == nil {
		return nil
	}
	run := time.Now().UnixNano()
	w.note(mark{Job: j.ID, Target: j.Target, Run: run})
	defer w.note(mark{Job: j.ID, Target: j.Target, Run: run, End: true})
	sum, err := w.makeAndPublish(ctx, j)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		record, _ := json.Marshal(terminal{j.ID, sum, os.Getpid(), a.Fence})
		err = w.put(ctx, "terminal/"+j.ID+".json", record)
		if isThere(err) {
			err = nil
		}
	}
	if err != nil {
		return &jobs.RetryError{After: 300 * time.Millisecond, Err: err}
	}
	return nil
}

func (w *worker) makeAndPublish(ctx context.Context, j jobs.Job) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", `sleep 0.3; yes "$0" | head -c `+strconv.Itoa(artifactSize), j.ID)
	cmd.Dir, cmd.Stdout = w.s.dir, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return "", err
	}
	child, err := w.children.Add(event.Child{PID: cmd.Process.Pid})
	if err == nil {
		defer func() { _ = child.Forget() }()
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return "", err
	}
	sum := hexSum(out.Bytes())
	err = w.put(ctx, "objects/"+j.ID, out.Bytes())
	if isThere(err) {
		err = w.same(ctx, "objects/"+j.ID, sum)
	}
	return sum, err
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// put creates an object, and never overwrites one.
func (w *worker) put(ctx context.Context, name string, data []byte) error {
	opt := minio.PutObjectOptions{DisableMultipart: true}
	opt.SetMatchETagExcept("*")
	_, err := w.s3.PutObject(ctx, bucket, name, bytes.NewReader(data), int64(len(data)), opt)
	return err
}

func isThere(err error) bool {
	return err != nil && minio.ToErrorResponse(err).Code == minio.PreconditionFailed
}

func (w *worker) same(ctx context.Context, name, sum string) error {
	data, err := readObject(ctx, w.s3, name)
	if err == nil && hexSum(data) != sum {
		err = fmt.Errorf("%s has other bytes", name)
	}
	return err
}

func readObject(ctx context.Context, c *minio.Client, name string) ([]byte, error) {
	o, err := c.GetObject(ctx, bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return io.ReadAll(o)
}

// submit is the submitter process: it queues what has no end and is not in the
// queue, and leaves when all have one.
func submit(s setting) error {
	ctx := context.Background()
	c, err := s.store()
	if err != nil {
		return err
	}
	q, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer q.Close()
	for {
		left, err := submitMissing(ctx, s, q, c)
		if err == nil && left == 0 {
			return nil
		}
		time.Sleep(500 * time.Millisecond) // the server may be away
	}
}

func submitMissing(ctx context.Context, s setting, q *jobs.Queue, c *minio.Client) (left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	pending, err := q.Pending(ctx)
	if err != nil {
		return 1, err
	}
	held := map[string]bool{}
	for _, j := range pending {
		held[j.ID] = true
	}
	for i := range s.jobs {
		j := s.job(i)
		if _, err := c.StatObject(ctx, bucket, "terminal/"+j.ID+".json", minio.StatObjectOptions{}); err == nil {
			continue
		}
		left++
		if !held[j.ID] {
			if err := q.Submit(ctx, j); err != nil {
				return left, err
			}
		}
	}
	return left, nil
}
