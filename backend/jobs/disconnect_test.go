package jobs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// restartServer stops a server, waits for d, and starts it again with its stored data.
func restartServer(t *testing.T, s *server.Server, opt server.Options, d time.Duration) *server.Server {
	t.Helper()
	opt.Port = s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	time.Sleep(d) // as long as a lease lasts: nothing tells of that
	return startServer(t, opt)
}

func startServer(t *testing.T, opt server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(&opt)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(testTimeout) {
		t.Fatal("the server did not start")
	}
	return s
}

// startsWhileDisconnected counts how often a job is started while the server is
// unreachable for twice the duration of a lease.
func startsWhileDisconnected(t *testing.T, keep bool) (started int, stopped error) {
	t.Helper()
	opt := server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoSigs: true, NoLog: true}
	s := startServer(t, opt)
	url := fmt.Sprintf("nats://%s", s.Addr())
	wait := Options{AckWait: 6 * time.Second, MaxDeliver: 20}
	starts, goOn, ended := make(chan string, 20), make(chan struct{}), make(chan error, 20)
	for _, name := range []string{"one", "two"} {
		work(t, connect(t, url, wait), Worker{Slots: 1, KeepOnDisconnect: keep, Handle: func(ctx context.Context, _ Job, _ Attempt) error {
			starts <- name
			select {
			case <-ctx.Done():
				ended <- context.Cause(ctx)
				return context.Cause(ctx)
			case <-goOn:
				ended <- nil
				return nil
			}
		}})
	}
	q := connect(t, url, wait)
	submit(t, q, Job{ID: "b1", Target: "t", Lane: Interactive})
	receive(t, starts, "the job")
	restartServer(t, s, opt, 2*wait.AckWait)
	if keep {
		time.Sleep(2 * time.Second) // whoever wants to take it over looks every second
		close(goOn)
	}
	stopped = receive(t, ended, "the job's end")
	if !keep {
		close(goOn)
	}
	for !q.conn.IsConnected() { // it comes back within two seconds
		time.Sleep(10 * time.Millisecond)
	}
	emptied(t, q)
	return 1 + len(starts), stopped
}

// A job keep the absence of the server beyond its lease, and no other worker
// begins it when the server is back.
func TestKeepOnDisconnect(t *testing.T) {
	if started, err := startsWhileDisconnected(t, true); started != 1 || err != nil {
		t.Errorf("started %d times, stopped by %v", started, err)
	}
}

// Without that its lease is lost, and it begins anew: otherwise the test above
// could not fail.
func TestLeaseEndsWithoutTheServer(t *testing.T) {
	started, err := startsWhileDisconnected(t, false)
	if started < 2 || !errors.Is(err, ErrLeaseLost) || !strings.Contains(err.Error(), "did not renew") {
		t.Errorf("started %d times, stopped by %v", started, err)
	}
}

// A job waits for a worker of its class, whoever else is there, and is not
// delivered to others meanwhile.
func TestClasses(t *testing.T) {
	url := served(t)
	all := connect(t, url, Options{Classes: []string{"v1.0_arm64"}})
	ran := make(chan string, 10)
	handle := func(name string) Handler {
		return func(_ context.Context, j Job, a Attempt) error {
			ran <- fmt.Sprintf("%s %s %d", name, j.ID, a.Number)
			return nil
		}
	}
	work(t, connect(t, url, Options{Classes: []string{"v1.0_amd64", "v1_0_arm64"}}), Worker{Slots: 2, Handle: handle("other")})
	work(t, connect(t, url, Options{}), Worker{Slots: 2, Handle: handle("none")})
	submit(t, all, Job{ID: "b1", Target: "t", Lane: Interactive, Class: "v1.0_arm64"}, Job{ID: "b2", Target: "u", Lane: Batch, Class: "v1.0_amd64"}, Job{ID: "b3", Target: "v", Lane: Batch})
	for range 2 {
		if got := receive(t, ran, "a job"); got != "other b2 1" && got != "none b3 1" {
			t.Errorf("ran: %s", got)
		}
	}
	work(t, all, Worker{Slots: 2, Handle: handle("right")})
	if got := receive(t, ran, "the job of the class"); got != "right b1 1" {
		t.Errorf("ran: %s", got)
	}
	emptied(t, all)
	if err := all.Submit(t.Context(), Job{ID: "b4", Target: "t", Lane: Batch, Class: "a b"}); err == nil {
		t.Error("a class with a space was taken")
	}
}
