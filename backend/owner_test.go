package backend

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/build"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/jobs"
)

// TestMain lets the test's program be the owner that a client starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "owner" {
		if err := ServeOwner(context.Background(), Options{}, os.NewFile(3, "ready")); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ownedHome makes a home with a target whose build fails at once, since no
// guest has its compiler.
func ownedHome(t *testing.T) *Backend {
	t.Helper()
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	b, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.Home.Config, "targets")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "apiVersion: ingot/v1\nkind: Target\nextends: debian-12-arm64\nlock: debian-12-arm64\nname: nowhere\nkernel: {crossCompile: nosuch-}\n"
	if err := os.WriteFile(filepath.Join(dir, "nowhere.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(Options{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// own runs an owner of the home in this process. The test does not end before
// the owner does: it still writes into the home that goes with the test.
func own(t *testing.T) (ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, gone, ready := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		out <- RunOwner(ctx, Options{}, func() { close(ready) })
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	select {
	case <-ready:
	case err := <-out:
		t.Fatalf("the owner ended at once: %v", err)
	}
	return out
}

func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// A build's failure comes back through the owner with its class and cause, and
// stands in the journal; an owner that is asked leaves when it is idle.
func TestOwnerBuilds(t *testing.T) {
	b := ownedHome(t)
	c := b.Client()
	var none *NoOwnerError
	if _, err := c.Info(t.Context()); !errors.As(err, &none) {
		t.Fatalf("without an owner: %v", err)
	}
	ended := own(t)
	id, err := c.Submit(t.Context(), Submission{Target: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []event.Kind
	err = c.Follow(t.Context(), "nowhere", id, 0, func(e Event) { kinds = append(kinds, e.Kind) })
	if ClassOf(err) != ClassMissing || build.CauseOf(err) != "guest.tool-missing" || !strings.Contains(err.Error(), "nosuch-gcc") {
		t.Errorf("followed: %v (%v)", err, ClassOf(err))
	}
	if len(kinds) < 3 || kinds[0] != event.BuildStarted || kinds[len(kinds)-1] != event.BuildFinished {
		t.Errorf("events: %v", kinds)
	}
	// who comes back with the last id sees what he has not seen
	seen := 0
	err = c.Follow(t.Context(), "nowhere", id, int64(len(kinds)-1), func(Event) { seen++ })
	if ClassOf(err) != ClassMissing || seen != 1 {
		t.Errorf("since the last but one: %d events, %v", seen, err)
	}
	for _, s := range []Submission{{Target: "none"}, {Target: "nowhere", Until: "nothing"}, {Target: "nowhere", Guest: "none"}} {
		if _, err := c.Submit(t.Context(), s); ClassOf(err) != ClassInput {
			t.Errorf("%+v: %v", s, err)
		}
		var remote *RemoteError
		if err := c.call(t.Context(), http.MethodPost, "/v1/builds", s, nil); !errors.As(err, &remote) || remote.Class != ClassInput {
			t.Errorf("%+v past the client's check: %v", s, err)
		}
	}
	for guest, known := range map[string]bool{"": true, "local": true, "lima:forge": true, "lima:": false, "forge": false} {
		if err := b.CheckSubmission(Submission{Target: "nowhere", Guest: guest}); (err == nil) != known {
			t.Errorf("guest %q: %v", guest, err)
		}
	}
	if err := c.Cancel(t.Context(), id); ClassOf(err) != ClassInput {
		t.Errorf("cancel of an ended build: %v", err)
	}
	if idle, err := c.Leave(t.Context()); err != nil || !idle {
		t.Errorf("leave: %v, %v", idle, err)
	}
	if err := within(t, ended, "the owner's end"); err != nil {
		t.Errorf("the owner: %v", err)
	}
	if _, err := os.Stat(socketPath(b.Home)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// What was submitted and has no end is built by the next owner; what has one
// is left alone; a journal that no submission stands behind gets its end.
func TestOwnerGoesOn(t *testing.T) {
	b := ownedHome(t)
	submitted := func(id string, events ...event.Event) {
		bd, err := b.ledger.Build("nowhere", id)
		if err != nil {
			t.Fatal(err)
		}
		o := &Owner{ledger: b.ledger}
		data, err := json.Marshal(Submission{Target: "nowhere"})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.record(jobs.Job{ID: id, Target: "nowhere", Lane: jobs.Batch, Data: data}); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			j, err := event.OpenJournal(bd.JournalPath(), "nowhere", id, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(j.Add(e), j.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	started := event.Event{Kind: event.BuildStarted, PID: 1, PIDStart: "never"}
	submitted("20260101-000000-aaaa", started, event.Event{Kind: event.BuildFinished, Outcome: event.Passed})
	submitted("20260101-000001-bbbb", started)
	submitted("20260101-000002-cccc")
	own(t)
	c := b.Client()
	for _, id := range []string{"20260101-000001-bbbb", "20260101-000002-cccc"} {
		if err := c.Follow(t.Context(), "nowhere", id, 0, func(Event) {}); ClassOf(err) != ClassMissing {
			t.Errorf("%s: %v", id, err)
		}
	}
	ended, err := b.ledger.Build("nowhere", "20260101-000000-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	if events, err := ended.Journal(); err != nil || len(events) != 2 {
		t.Errorf("the ended build's journal: %d events, %v", len(events), err)
	}
}

func TestOneOwner(t *testing.T) {
	b := ownedHome(t)
	// left behind by an owner that was killed
	if err := os.WriteFile(socketPath(b.Home), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own(t)
	var held *home.HeldError
	if err := RunOwner(t.Context(), Options{}, func() { t.Error("a second owner is ready") }); !errors.As(err, &held) || held.Holder.Purpose != ownerPurpose {
		t.Errorf("second owner: %v", err)
	}
	info, err := os.Stat(socketPath(b.Home))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	// other work asks the idle owner to leave and gets the home
	if _, err := b.RotateKey(t.Context()); err != nil {
		t.Errorf("rotate: %v", err)
	}
}

// An owner leaves by itself.
func TestOwnerIdle(t *testing.T) {
	b := ownedHome(t)
	t.Setenv("INGOT_OWNER_IDLE", "300ms")
	ended := own(t)
	if err := within(t, ended, "the end of an idle owner"); err != nil {
		t.Errorf("the owner: %v", err)
	}
	if _, err := os.Stat(socketPath(b.Home)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// The stream of all events begins with what holds.
func TestSnapshotFirst(t *testing.T) {
	b := ownedHome(t)
	own(t)
	c := b.Client()
	res, err := c.send(t.Context(), http.MethodGet, "/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	var s Snapshot
	if err := dec.Decode(&s); err != nil || s.Owner.PID != os.Getpid() || len(s.Rows) != len(b.targets.Names()) {
		t.Fatalf("%+v, %v", s, err)
	}
	id, err := c.Submit(t.Context(), Submission{Target: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []event.Kind{event.BuildQueued, event.BuildStarted} {
		var e Event
		if err := dec.Decode(&e); err != nil || e.Build != id || e.Kind != kind {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// A watcher has a snapshot first, then the events, and a snapshot again after
// the owner went and the next one came.
func TestWatch(t *testing.T) {
	b := ownedHome(t)
	ended := own(t)
	ctx, cancel := context.WithCancel(t.Context())
	snapshots, events := make(chan Snapshot, 9), make(chan Event, 99)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Client().Watch(ctx, Watcher{Snapshot: func(s Snapshot) { snapshots <- s }, Event: func(e Event) { events <- e }, Gone: func(err error) { t.Log(err) }})
	}()
	defer func() { cancel(); <-done }()
	within(t, snapshots, "the snapshot")
	c := b.Client()
	id, err := c.Submit(t.Context(), Submission{Target: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		if e := within(t, events, "the build's end"); e.Kind == event.BuildFinished {
			if e.Build != id || e.Outcome != event.Failed {
				t.Errorf("%+v", e)
			}
			break
		}
	}
	if rows, err := c.Status(t.Context(), "nowhere"); err != nil || len(rows) != 1 || rows[0].Target != "nowhere" {
		t.Errorf("%+v, %v", rows, err)
	}
	if _, err := c.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := within(t, ended, "the owner's end"); err != nil {
		t.Error(err)
	}
	next := within(t, snapshots, "the next owner's snapshot")
	if next.Owner.PID == os.Getpid() {
		t.Error("the same owner")
	}
	cancel()
	<-done
	if _, err := c.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	lock, err := b.Home.Lock(t.Context(), home.LockOptions{Purpose: "test", Wait: true}) // it has ended
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestSkew(t *testing.T) {
	env := environment([]string{"AWS_PROFILE=a", "HOME=/x", "INGOT_OWNER_IDLE=1s", "https_proxy=p", "EMPTY=", "INGOT_CACHE="})
	if len(env) != 2 || strings.Contains(strings.Join([]string{env["AWS_PROFILE"], env["https_proxy"]}, " "), "p ") {
		t.Errorf("%v", env)
	}
	o := OwnerInfo{Version: "1", Env: map[string]string{"AWS_PROFILE": env["AWS_PROFILE"], "MINIO_X": "1"}}
	if s := skew(o, "1", env); s != "another environment (MINIO_X, https_proxy)" {
		t.Error(s)
	}
	if s := skew(o, "2", env); s != "version 1, not 2" {
		t.Error(s)
	}
	o.Env = env
	if s := skew(o, "1", env); s != "" {
		t.Error(s)
	}
}

// A face finds the owner's program beside it, or in the bundle around it, and
// takes no other for it.
func TestOwnerOf(t *testing.T) {
	contents := filepath.Join(t.TempDir(), "Ingot.app", "Contents")
	nested := filepath.Join(contents, "Helpers", "Ingot Window.app", "Contents", "MacOS")
	for _, dir := range []string{nested, filepath.Join(contents, "MacOS")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	window, menu, owner := filepath.Join(nested, "ingot-window"), filepath.Join(contents, "MacOS", "ingot-app"), filepath.Join(contents, "MacOS", "ingot")
	for _, face := range []string{window, menu} {
		if got, err := ownerOf(face); err == nil {
			t.Errorf("%s without an owner: %s", face, got)
		}
	}
	if err := os.WriteFile(owner, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, self := range []string{window, menu, owner} {
		if got, err := ownerOf(self); err != nil || got != owner {
			t.Errorf("%s: %s, %v", self, got, err)
		}
	}
}

func TestSocketPath(t *testing.T) {
	short, long := home.Home{Data: "/tmp/x"}, home.Home{Data: "/tmp/" + strings.Repeat("x", 120)}
	if p := socketPath(short); p != "/tmp/x/owner.sock" {
		t.Error(p)
	}
	if p := socketPath(long); len(p) > socketLimit || p == socketPath(home.Home{Data: long.Data + "y"}) {
		t.Error(p)
	}
	if !allowedPeer(5, 5) || !allowedPeer(0, 5) || allowedPeer(6, 5) {
		t.Error("peers")
	}
	l, err := listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}
