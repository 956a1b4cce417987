package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const testTimeout = time.Minute

// served starts a server as a team would run it and returns its address.
func served(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(testTimeout) {
		t.Fatal("the server did not start")
	}
	return s.ClientURL()
}

func connect(t *testing.T, url string, opt Options) *Queue {
	t.Helper()
	q, err := Connect(t.Context(), Server{URL: url}, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// work runs a worker until the test ends or stop is called.
func work(t *testing.T, q *Queue, w Worker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, q) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("worker: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func submit(t *testing.T, q *Queue, jobs ...Job) {
	t.Helper()
	for _, j := range jobs {
		if err := q.Submit(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
}

func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testTimeout):
		t.Fatalf("%s did not come within %s", what, testTimeout)
		panic("unreachable")
	}
}

// emptied waits until the queue holds nothing.
func emptied(t *testing.T, q *Queue) {
	t.Helper()
	for end := time.Now().Add(testTimeout); ; time.Sleep(10 * time.Millisecond) {
		left, err := q.Pending(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left in the queue: %v", left)
		}
	}
}

func TestRunsOnceAndLeavesTheQueue(t *testing.T) {
	q, err := Embedded(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ran := make(chan Job, 10)
	work(t, q, Worker{Slots: 2, Handle: func(_ context.Context, j Job, a Attempt) error {
		if a.Number != 1 || a.Fence == 0 || a.Last {
			t.Errorf("attempt %+v", a)
		}
		ran <- j
		return nil
	}})
	j := Job{ID: "b1", Target: "a.b", Lane: Interactive, Data: []byte(`{"x":1}`)}
	submit(t, q, j, j, Job{ID: "b2", Target: "c", Lane: Batch})
	got := []string{receive(t, ran, "a job").ID, receive(t, ran, "a job").ID}
	slices.Sort(got)
	if !slices.Equal(got, []string{"b1", "b2"}) {
		t.Errorf("ran %v", got)
	}
	emptied(t, q)
	select {
	case j := <-ran:
		t.Errorf("%s ran twice", j.ID)
	default:
	}
	for _, bad := range []Job{{}, {ID: "x", Target: "t", Lane: "fast"}, {ID: "x y", Target: "t", Lane: Batch}, {ID: "x", Target: "a>", Lane: Batch}} {
		if err := q.Submit(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestInteractiveComesFirst(t *testing.T) {
	q := connect(t, served(t), Options{})
	submit(t, q, Job{ID: "b1", Target: "t1", Lane: Batch}, Job{ID: "b2", Target: "t2", Lane: Batch}, Job{ID: "i1", Target: "t3", Lane: Interactive})
	ran := make(chan string, 3)
	work(t, q, Worker{Slots: 1, Handle: func(_ context.Context, j Job, _ Attempt) error {
		ran <- j.ID
		time.Sleep(50 * time.Millisecond)
		return nil
	}})
	if first := receive(t, ran, "the first job"); first != "i1" {
		t.Errorf("%s ran first", first)
	}
}

// The jobs of a paused lane stay in the queue and start when it is not paused any more.
func TestRestingLane(t *testing.T) {
	q := connect(t, served(t), Options{})
	var mu sync.Mutex
	resting := true
	ran := make(chan string, 3)
	work(t, q, Worker{Slots: 4, Handle: func(_ context.Context, j Job, _ Attempt) error {
		ran <- j.ID
		return nil
	}, Paused: func(l Lane) bool {
		mu.Lock()
		defer mu.Unlock()
		return l == Batch && resting
	}})
	submit(t, q, Job{ID: "b", Target: "t1", Lane: Batch}, Job{ID: "i", Target: "t2", Lane: Interactive})
	if id := receive(t, ran, "the interactive job"); id != "i" {
		t.Errorf("%s ran", id)
	}
	select {
	case id := <-ran:
		t.Errorf("%s ran although its lane rests", id)
	case <-time.After(50 * time.Millisecond):
	}
	mu.Lock()
	resting = false
	mu.Unlock()
	if id := receive(t, ran, "the batch job"); id != "b" {
		t.Errorf("%s ran", id)
	}
}

// overlap counts how many jobs of one target overlap on two workers.
func overlap(t *testing.T, opt Options) int {
	t.Helper()
	url := served(t)
	var mu sync.Mutex
	now, most := 0, 0
	handle := func(context.Context, Job, Attempt) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	}
	first := connect(t, url, opt)
	for range 2 {
		work(t, connect(t, url, opt), Worker{Slots: 4, Handle: handle})
	}
	for i := range 4 {
		submit(t, first, Job{ID: fmt.Sprint("i", i), Target: "t", Lane: Interactive}, Job{ID: fmt.Sprint("b", i), Target: "t", Lane: Batch})
	}
	emptied(t, first)
	return most
}

// One job a target over lanes and workers; without leases there are more, or
// this test could not fail.
func TestOneJobATarget(t *testing.T) {
	if n := overlap(t, Options{}); n != 1 {
		t.Errorf("%d jobs of one target ran at once", n)
	}
	if n := overlap(t, Options{NoLeases: true}); n < 2 {
		t.Error("without leases only one job ran at once")
	}
}

func TestWeights(t *testing.T) {
	q := connect(t, served(t), Options{})
	var mu sync.Mutex
	now, most := 0, 0
	work(t, q, Worker{Slots: 4, Handle: func(_ context.Context, j Job, _ Attempt) error {
		mu.Lock()
		now += j.Weight
		most = max(most, now)
		mu.Unlock()
		time.Sleep(30 * time.Millisecond)
		mu.Lock()
		now -= j.Weight
		mu.Unlock()
		return nil
	}})
	for i := range 12 {
		submit(t, q, Job{ID: fmt.Sprint("j", i), Target: fmt.Sprint("t", i), Lane: Interactive, Weight: 1 + i%3})
	}
	emptied(t, q)
	if most > 4 || most < 3 {
		t.Errorf("%d slots of 4 were taken at once", most)
	}
}

func TestCancel(t *testing.T) {
	q := connect(t, served(t), Options{})
	submit(t, q, Job{ID: "waits", Target: "w", Lane: Batch})
	if running, err := q.Cancel(t.Context(), "waits"); running || err != nil {
		t.Errorf("cancel of a waiting job: %v, %v", running, err)
	}
	emptied(t, q)
	if _, err := q.Cancel(t.Context(), "waits"); !errors.Is(err, ErrNoJob) {
		t.Errorf("cancel of no job: %v", err)
	}
	started, cause := make(chan string, 2), make(chan error, 2)
	work(t, q, Worker{Slots: 2, Handle: func(ctx context.Context, j Job, _ Attempt) error {
		started <- j.ID
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return ctx.Err()
	}})
	submit(t, q, Job{ID: "runs", Target: "r", Lane: Batch})
	receive(t, started, "the start")
	submit(t, q, Job{ID: "behind", Target: "r", Lane: Batch}) // waits for the lease
	time.Sleep(50 * time.Millisecond)                         // mostly it is taken by then, and waits in its worker
	for _, id := range []string{"behind", "runs"} {
		running, err := q.Cancel(t.Context(), id)
		if err != nil || id == "runs" && !running {
			t.Errorf("cancel of %s: %v, %v", id, running, err)
		}
		if !running { // on a slow machine nobody has taken it yet, and nobody will
			continue
		}
		if err := receive(t, cause, "the end"); !errors.Is(err, ErrCancelled) {
			t.Errorf("cause of %s: %v", id, err)
		}
	}
	emptied(t, q)
}

// The job of a worker that fell silent goes to another one.
func TestDeadWorker(t *testing.T) {
	url, opt := served(t), Options{AckWait: 600 * time.Millisecond}
	dying := connect(t, url, opt)
	started := make(chan Attempt, 4)
	release := make(chan struct{})
	defer close(release)
	lost := make(chan error, 1)
	go func() {
		_ = Worker{Slots: 1, Handle: func(ctx context.Context, _ Job, a Attempt) error {
			started <- a
			<-ctx.Done()
			lost <- context.Cause(ctx)
			<-release // a process that was stopped says nothing
			return nil
		}}.Run(t.Context(), dying)
	}()
	q := connect(t, url, opt)
	submit(t, q, Job{ID: "j", Target: "t", Lane: Interactive})
	first := receive(t, started, "the first start")
	dying.conn.Close()
	work(t, q, Worker{Slots: 1, Handle: func(_ context.Context, _ Job, a Attempt) error {
		started <- a
		return nil
	}})
	second := receive(t, started, "the second start")
	if first.Number != 1 || second.Number != 2 || second.Fence <= first.Fence {
		t.Errorf("attempts %+v and %+v", first, second)
	}
	if err := receive(t, lost, "the loss of the lease"); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the silent worker was told %v", err)
	}
	emptied(t, q)
}

// A handler that runs longer than AckWait keeps its job.
func TestLongJob(t *testing.T) {
	url, opt := served(t), Options{AckWait: 2 * time.Second}
	q := connect(t, url, opt)
	ran := make(chan Attempt, 10)
	for range 2 {
		work(t, connect(t, url, opt), Worker{Slots: 2, Handle: func(ctx context.Context, _ Job, a Attempt) error {
			ran <- a
			select {
			case <-ctx.Done():
				t.Errorf("ended early: %v", context.Cause(ctx))
			case <-time.After(5 * time.Second):
			}
			return nil
		}})
	}
	submit(t, q, Job{ID: "j", Target: "t", Lane: Interactive})
	emptied(t, q)
	if len(ran) != 1 {
		t.Errorf("it ran %d times", len(ran))
	}
}

// A lease that ended while nobody else wanted it – the computer slept – is taken
// again; one that another holds is lost.
func TestLeaseAfterSleep(t *testing.T) {
	q := connect(t, served(t), Options{})
	l, err := q.acquire(t.Context(), Job{ID: "j", Target: "t"}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	first := l.rev
	if err := q.leases.Purge(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if err := l.renew(t.Context(), "j"); err != nil || l.rev <= first {
		t.Errorf("nobody else has it: %v, revision %d after %d", err, l.rev, first)
	}
	if err := l.renew(t.Context(), "j"); err != nil {
		t.Errorf("renewed again: %v", err)
	}
	if err := q.leases.Purge(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.acquire(t.Context(), Job{ID: "other", Target: "t"}, func() {}); err != nil {
		t.Fatal(err)
	}
	if err := l.renew(t.Context(), "j"); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("another has it: %v", err)
	}
}

func TestRetryAndDead(t *testing.T) {
	q := connect(t, served(t), Options{AckWait: time.Second, MaxDeliver: 3})
	ran, dead := make(chan Attempt, 10), make(chan Job, 10)
	work(t, q, Worker{Slots: 1, Handle: func(_ context.Context, _ Job, a Attempt) error {
		ran <- a
		return &RetryError{10 * time.Millisecond, errors.New("the network is away")}
	}, Dead: func(_ context.Context, j Job) { dead <- j }})
	submit(t, q, Job{ID: "j", Target: "t", Lane: Interactive})
	for i := 1; i <= 3; i++ {
		if a := receive(t, ran, "an attempt"); a.Number != i || a.Last != (i == 3) {
			t.Errorf("attempt %+v, want number %d", a, i)
		}
	}
	if j := receive(t, dead, "the word of its death"); j.ID != "j" {
		t.Errorf("dead: %+v", j)
	}
	emptied(t, q)
}

// A worker that stops leaves its job in the queue; the next start of an
// embedded server delivers it at once, and so it does with the job of a server
// that was never shut down.
func TestStopAndStartAgain(t *testing.T) {
	dir := t.TempDir()
	q, err := Embedded(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan int, 4)
	stop := work(t, q, Worker{Slots: 1, Handle: func(ctx context.Context, _ Job, a Attempt) error {
		started <- a.Number
		<-ctx.Done()
		return context.Cause(ctx)
	}})
	submit(t, q, Job{ID: "j", Target: "t", Lane: Interactive})
	receive(t, started, "the start")
	stop()
	q.Close()
	if q, err = Embedded(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if left, err := q.Pending(t.Context()); err != nil || len(left) != 1 || left[0].ID != "j" {
		t.Fatalf("in the queue: %v, %v", left, err)
	}
	restarted := time.Now()
	work(t, q, Worker{Slots: 1, Handle: func(context.Context, Job, Attempt) error {
		started <- 0
		return nil
	}})
	receive(t, started, "the second start")
	if d := time.Since(restarted); d > 25*time.Second { // AckWait is 30 s
		t.Errorf("it took %s to start again", d)
	}
	emptied(t, q)
}
