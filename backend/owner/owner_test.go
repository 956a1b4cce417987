package owner

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/cause"
	"ingot/backend/client"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/hometest"
	"ingot/backend/jobs"
)

// TestMain lets the test's program be the owner that a client starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "owner" {
		if err := Serve(context.Background(), backend.Options{}, os.NewFile(3, "ready")); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ownedHome makes a home with a target whose build fails at once, since no
// guest has its compiler.
func ownedHome(t *testing.T) *backend.Backend {
	t.Helper()
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	b, err := backend.Open(backend.Options{})
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
	if b, err = backend.Open(backend.Options{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// runOwner runs an owner of the home in this process. The test does not end before
// the owner does: it still writes into the home that goes with the test.
func runOwner(t *testing.T) (ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stopped, ready := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		out <- Run(ctx, backend.Options{}, func() { close(ready) })
	}()
	t.Cleanup(func() {
		cancel()
		<-stopped
	})
	select {
	case <-ready:
	case err := <-out:
		t.Fatalf("the owner ended at once: %v", err)
	}
	return out
}

// A build's failure comes back through the owner with its class and cause, and
// stands in the journal; an owner that is asked leaves when it is idle.
func TestOwnerBuilds(t *testing.T) {
	b := ownedHome(t)
	c := ClientOf(b)
	var none *api.NoOwnerError
	if _, err := c.Info(t.Context()); !errors.As(err, &none) {
		t.Fatalf("without an owner: %v", err)
	}
	ended := runOwner(t)
	id, err := c.Submit(t.Context(), api.Submission{Target: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []event.Kind
	err = c.Follow(t.Context(), "nowhere", id, 0, func(e api.Event) { kinds = append(kinds, e.Kind) })
	if api.ClassOf(err) != api.ClassMissing || cause.IDOf(err) != "guest.tool-missing" || !strings.Contains(err.Error(), "nosuch-gcc") {
		t.Errorf("followed: %v (%v)", err, api.ClassOf(err))
	}
	if len(kinds) < 3 || kinds[0] != event.BuildStarted || kinds[len(kinds)-1] != event.BuildFinished {
		t.Errorf("events: %v", kinds)
	}
	// who comes back with the last id sees what he has not seen
	seen := 0
	err = c.Follow(t.Context(), "nowhere", id, int64(len(kinds)-1), func(api.Event) { seen++ })
	if api.ClassOf(err) != api.ClassMissing || seen != 1 {
		t.Errorf("since the last but one: %d events, %v", seen, err)
	}
	for _, s := range []api.Submission{{Target: "none"}, {Target: "nowhere", Until: "nothing"}, {Target: "nowhere", Guest: "none"}} {
		if _, err := c.Submit(t.Context(), s); api.ClassOf(err) != api.ClassInput {
			t.Errorf("%+v: %v", s, err)
		}
		var remote *api.RemoteError
		if _, err := client.New(b.Home).Submit(t.Context(), s); !errors.As(err, &remote) || remote.Class != api.ClassInput {
			t.Errorf("%+v past the client's check: %v", s, err)
		}
	}
	for guest, known := range map[string]bool{"": true, "local": true, "lima:forge": true, "lima:": false, "forge": false} {
		if err := CheckSubmission(b, api.Submission{Target: "nowhere", Guest: guest}); (err == nil) != known {
			t.Errorf("guest %q: %v", guest, err)
		}
	}
	if err := c.Cancel(t.Context(), id); api.ClassOf(err) != api.ClassInput {
		t.Errorf("cancel of an ended build: %v", err)
	}
	if idle, err := c.Leave(t.Context()); err != nil || !idle {
		t.Errorf("leave: %v, %v", idle, err)
	}
	if err := hometest.Within(t, ended, "the owner's end"); err != nil {
		t.Errorf("the owner: %v", err)
	}
	if _, err := os.Stat(api.OwnerSocket(b.Home)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// What was submitted and has no end is built by the next owner; what has one
// is left alone; a journal that no submission stands behind gets its end.
func TestOwnerGoesOn(t *testing.T) {
	b := ownedHome(t)
	submitted := func(id string, events ...event.Event) {
		bd, err := b.Ledger.Build("nowhere", id)
		if err != nil {
			t.Fatal(err)
		}
		o := &Owner{ledger: b.Ledger}
		data, err := json.Marshal(api.Submission{Target: "nowhere"})
		if err != nil {
			t.Fatal(err)
		}
		if err := writeJob(o.ledger, jobs.Job{ID: id, Target: "nowhere", Lane: jobs.Batch, Data: data}); err != nil {
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
	runOwner(t)
	c := ClientOf(b)
	for _, id := range []string{"20260101-000001-bbbb", "20260101-000002-cccc"} {
		if err := c.Follow(t.Context(), "nowhere", id, 0, func(api.Event) {}); api.ClassOf(err) != api.ClassMissing {
			t.Errorf("%s: %v", id, err)
		}
	}
	ended, err := b.Ledger.Build("nowhere", "20260101-000000-aaaa")
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
	if err := os.WriteFile(api.OwnerSocket(b.Home), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runOwner(t)
	var held *home.HeldError
	if err := Run(t.Context(), backend.Options{}, func() { t.Error("a second owner is ready") }); !errors.As(err, &held) || held.Holder.Purpose != api.OwnerPurpose {
		t.Errorf("second owner: %v", err)
	}
	info, err := os.Stat(api.OwnerSocket(b.Home))
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
	ended := runOwner(t)
	if err := hometest.Within(t, ended, "the end of an idle owner"); err != nil {
		t.Errorf("the owner: %v", err)
	}
	if _, err := os.Stat(api.OwnerSocket(b.Home)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// The stream of all events begins with what holds.
func TestSnapshotFirst(t *testing.T) {
	b := ownedHome(t)
	runOwner(t)
	c := ClientOf(b)
	direct := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", api.OwnerSocket(b.Home))
	}}}
	res, err := direct.Get("http://owner/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	var s api.Snapshot
	if err := dec.Decode(&s); err != nil || s.Owner.PID != os.Getpid() || len(s.Rows) != len(b.Targets.Names()) {
		t.Fatalf("%+v, %v", s, err)
	}
	id, err := c.Submit(t.Context(), api.Submission{Target: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []event.Kind{event.BuildQueued, event.BuildStarted} {
		var e api.Event
		if err := dec.Decode(&e); err != nil || e.Build != id || e.Kind != kind {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// A watcher has a snapshot first, then the events, and a snapshot again after
// the owner went and the next one came.
func TestWatch(t *testing.T) {
	b := ownedHome(t)
	ended := runOwner(t)
	ctx, cancel := context.WithCancel(t.Context())
	snapshots, events := make(chan api.Snapshot, 9), make(chan api.Event, 99)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ClientOf(b).Watch(ctx, client.Watcher{Snapshot: func(s api.Snapshot) { snapshots <- s }, Event: func(e api.Event) { events <- e }, Gone: func(err error) { t.Log(err) }})
	}()
	defer func() { cancel(); <-done }()
	hometest.Within(t, snapshots, "the snapshot")
	c := ClientOf(b)
	id, err := c.Submit(t.Context(), api.Submission{Target: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		if e := hometest.Within(t, events, "the build's end"); e.Kind == event.BuildFinished {
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
	if err := hometest.Within(t, ended, "the owner's end"); err != nil {
		t.Error(err)
	}
	next := hometest.Within(t, snapshots, "the next owner's snapshot")
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

// A build that is cancelled is over, whatever error it stopped with; one whose owner
// ends goes on.
func TestGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		why             error
		temporary, want bool
	}{
		"cancelled, by an error that may pass": {jobs.ErrCancelled, true, false},
		"the owner ends":                       {jobs.ErrStopping, false, true},
		"the lease is lost":                    {jobs.ErrLeaseLost, false, true},
		"an error that may pass":               {nil, true, true},
		"another error":                        {nil, false, false},
	} {
		if got := goesOn(c.why, func() bool { return c.temporary }); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
