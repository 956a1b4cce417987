package team

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"ingot/backend/event"
	"ingot/backend/jobs"
)

// served is a team's server, which a test can take away and bring back.
type served struct {
	t    *testing.T
	dir  string
	port int
	s    *server.Server
}

func serve(t *testing.T) *served {
	t.Helper()
	s := &served{t: t, dir: t.TempDir(), port: -1}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *served) start() {
	s.t.Helper()
	var err error
	if s.s, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: s.port, JetStream: true, StoreDir: s.dir, SyncAlways: true, NoSigs: true, NoLog: true}); err != nil {
		s.t.Fatal(err)
	}
	s.s.Start()
	if !s.s.ReadyForConnections(30 * time.Second) {
		s.t.Fatal("the server did not start")
	}
	s.port = s.s.Addr().(*net.TCPAddr).Port
}

func (s *served) stop() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}

func (s *served) join() *Station {
	s.t.Helper()
	st, err := Join(s.t.Context(), jobs.Server{URL: fmt.Sprintf("nats://127.0.0.1:%d", s.port)}, jobs.Options{AckWait: 2 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(st.Close)
	return st
}

// listener is a follower that keeps what it is told.
type listener struct {
	mu           sync.Mutex
	ids          []string // of events: worker and message
	log          map[string][]byte
	disconnected []bool
	origin       uint64
	got          chan struct{} // gets a value after every call
}

func listen() *listener { return &listener{log: map[string][]byte{}, got: make(chan struct{}, 1)} }

func (l *listener) notify() {
	select {
	case l.got <- struct{}{}:
	default:
	}
}

func (l *listener) Event(worker string, e event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.notify()
	if e.Kind == event.Progress {
		return nil
	}
	if e.Origin <= l.origin || e.PID != 0 || e.Evidence != "" {
		return fmt.Errorf("event %+v", e)
	}
	l.origin = e.Origin
	l.ids = append(l.ids, worker+" "+e.Msg)
	return nil
}

func (l *listener) Log(c Chunk) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.notify()
	name := c.Step + "." + c.Worker
	if int64(len(l.log[name])) < c.Offset {
		return fmt.Errorf("a gap before %d of %s", c.Offset, name)
	}
	l.log[name] = append(l.log[name][:c.Offset], c.Data...)
	return nil
}

func (l *listener) ConnectionChanged(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.notify()
	l.disconnected = append(l.disconnected, err != nil)
	return nil
}

func (l *listener) Idle(context.Context) error { return nil }

// until waits for something that the listener knows.
func (l *listener) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(60 * time.Second)
	for {
		l.mu.Lock()
		ok := so()
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-l.got:
		case <-limit:
			t.Fatalf("%s did not come: %v", what, l.ids)
		}
	}
}

// source is a build's folder at a worker.
func source(t *testing.T, worker string) (Source, *event.Journal, *os.File) {
	t.Helper()
	dir := t.TempDir()
	s := Source{Build: "20260101-000000-abcd", Worker: worker, Journal: filepath.Join(dir, "journal"), Logs: filepath.Join(dir, "logs")}
	if err := os.Mkdir(s.Logs, 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := event.OpenJournal(s.Journal, "t", s.Build, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(s.Logs, "kernel.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(j.Close(), log.Close()) })
	return s, j, log
}

func note(t *testing.T, j *event.Journal, log *os.File, msg string) {
	t.Helper()
	_, err := log.WriteString(msg + "\n")
	if err = errors.Join(err, j.Add(event.Event{Kind: event.Note, Msg: msg, PID: 1, Evidence: "proof-1"})); err != nil {
		t.Fatal(err)
	}
}

// Journal and logs come whole and in order, each event once, although the server
// goes away in the middle and the sender is another one then: that of a worker
// which was killed.
func TestNothingIsLost(t *testing.T) {
	srv := serve(t)
	there, here := srv.join(), srv.join()
	src, j, log := source(t, "W1")
	l := listen()
	type end struct {
		r   Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := here.Follow(t.Context(), src.Build, 0, l)
		ended <- end{r, err}
	}()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	first, done := there.Sender(src), make(chan struct{})
	go func() { first.Run(ctx, nil); close(done) }()
	var want []string
	say := func(n int) {
		for range n {
			msg := fmt.Sprintf("line %d\x1b[2J", len(want))
			note(t, j, log, msg)
			want = append(want, "W1 "+stripControls(msg))
		}
		first.Wake()
	}
	say(100)
	l.until(t, "the first lines", func() bool { return len(l.ids) == 100 })
	srv.stop()
	say(100)
	l.until(t, "the notice that the server is away", func() bool { return slices.Equal(l.disconnected, []bool{true}) })
	stop()
	<-done // the worker was killed
	say(100)
	srv.start()
	limit, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := there.Sender(src).Flush(limit); err != nil {
		t.Fatal(err)
	}
	for _, wantMade := range []bool{true, false} { // it is delivered twice: the first stays
		r := Result{Build: src.Build, Worker: "W1", Outcome: event.Passed, Host: fmt.Sprint(wantMade)}
		if made, err := there.PutResult(limit, r); err != nil || made != wantMade {
			t.Fatalf("end: %v, %v", made, err)
		}
	}
	select {
	case e := <-ended:
		if e.err != nil || e.r.Host != "true" {
			t.Fatalf("%+v, %v", e.r, e.err)
		}
	case <-limit.Done():
		t.Fatal("no result")
	}
	if !slices.Equal(l.ids, want) {
		t.Errorf("%d events, want %d", len(l.ids), len(want))
	}
	if text := strings.Count(string(l.log["kernel.W1"]), "\n"); text != len(want) {
		t.Errorf("%d lines, want %d", text, len(want))
	}
	if !slices.Equal(l.disconnected, []bool{true, false}) {
		t.Errorf("away: %v", l.disconnected)
	}
	// who comes back with the last number is told nothing twice
	again := listen()
	again.origin = l.origin
	if _, err := here.Follow(t.Context(), src.Build, l.origin, again); err != nil || len(again.ids) > 0 {
		t.Errorf("again: %v, %v", again.ids, err)
	}
}

// What is no message of a worker's build is noise.
func TestForeignMessages(t *testing.T) {
	srv := serve(t)
	s := srv.join()
	const build = "20260101-000000-abcd"
	for _, m := range []struct{ subject, offset, data string }{
		{"team.log." + build + ".W1.kernel", "-5", "x"}, {"team.log." + build + ".W1.kernel", "99999999999999", "x"}, {"team.log." + build + ".W1.kernel", "", "x"},
		{"team.log." + build + ".W1./etc/passwd", "0", "x"}, {"team.log." + build + ".W1.a=b", "0", "x"}, {"team.log." + build + "..", "0", "x"},
		{"team.event." + build + ".W1", "", "no event"}, {"team.event." + build + ".W1.more", "", "{}"}, {"team.event.other.W1", "", `{"kind":"note","msg":"of another build"}`},
	} {
		_, _ = s.js.PublishMsg(t.Context(), &nats.Msg{Subject: m.subject, Data: []byte(m.data), Header: nats.Header{offsetHeader: {m.offset}}}) // some the server refuses
	}
	if _, err := s.results.Create(t.Context(), build, []byte(`{"build":"other","worker":"W1","outcome":"passed"}`)); err != nil {
		t.Fatal(err)
	}
	l := listen()
	_, err := s.Follow(t.Context(), build, 0, l)
	var e *Error
	if !errors.As(err, &e) || e.Cause != "team.result-invalid" {
		t.Errorf("result of another build: %v", err)
	}
	if len(l.ids) > 0 || len(l.log) > 0 {
		t.Errorf("taken: %v, %v", l.ids, l.log)
	}
}

// Workers show what they can do, and an order is for those of its version and
// architecture only.
func TestWorkers(t *testing.T) {
	s := serve(t).join()
	if all, err := s.Workers(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	w := Worker{ID: "AB12", Host: "a", Version: "v1.2.3+x y", Builds: []string{"arm64"}, Running: []string{"b1"}, Slots: 2}
	if err := errors.Join(s.Heartbeat(t.Context(), Worker{ID: "CD34", Host: "b"}), s.Heartbeat(t.Context(), w)); err != nil {
		t.Fatal(err)
	}
	all, err := s.Workers(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != w.ID || all[0].Seen.IsZero() || !all[0].Live(time.Now()) || all[0].Live(time.Now().Add(time.Minute)) {
		t.Fatalf("%+v, %v", all, err)
	}
	for o, want := range map[Order]bool{
		{Version: w.Version, Arch: "arm64"}: true, {Version: w.Version, Arch: "amd64"}: false, {Version: "v1.2.4", Arch: "arm64"}: false,
	} {
		if all[0].Can(o) != want {
			t.Errorf("%+v: %v", o, !want)
		}
	}
	if err := s.Heartbeat(t.Context(), Worker{ID: "a b"}); err == nil {
		t.Error("an id with a space was shown")
	}
	if err := s.RemoveWorker(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Workers(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("after one has left: %v, %v", all, err)
	}
}

// What keeps a computer from its team has a cause of its own.
func TestNoTeam(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	guarded, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	guarded.Start()
	defer guarded.Shutdown()
	if !guarded.ReadyForConnections(30 * time.Second) {
		t.Fatal("no server")
	}
	none := filepath.Join(t.TempDir(), "none")
	for s, want := range map[jobs.Server]string{
		{URL: "nats://" + free}: "team.unreachable", {URL: guarded.ClientURL()}: "team.credentials",
		{URL: "nats://" + free, Creds: none}: "team.credentials", {URL: "nats://" + free, CA: none}: "team.tls",
	} {
		url := s.URL
		_, err := Join(t.Context(), s, jobs.Options{})
		var e *Error
		if !errors.As(err, &e) || e.Cause != want || Temporary(err) != (want == "team.unreachable") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
