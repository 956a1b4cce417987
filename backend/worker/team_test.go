package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/build/delivery"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/hometest"
	"ingot/backend/jobs"
	"ingot/backend/leak"
	"ingot/backend/owner"
	"ingot/backend/publish"
	"ingot/backend/publish/s3"
	"ingot/backend/remote"
	"ingot/backend/secret"
	"ingot/backend/status"
	"ingot/backend/target"
	"ingot/backend/team"
	"ingot/backend/verify"
)

const teamTarget = "debian-12-arm64"

// aTeam is a submitter's home, a worker's, a NATS server and a bucket.
type aTeam struct {
	t      *testing.T
	b      *backend.Backend // the submitter's
	worker *worker
	nats   *natsserver.Server
	opt    natsserver.Options
	s3     *minio.Client
	bucket string
	prefix string
	made   func(id string, made []delivery.Made) []delivery.Made // what the worker makes of it; nil is honest
	begun  chan string                                           // builds that the worker has begun
	goOn   chan struct{}                                         // it ends them when this is closed
}

// newTeam makes a team whose worker stands in for hours of building: it makes a
// few bytes, and the evidence that a build would make of them.
func newTeam(t *testing.T) *aTeam {
	t.Helper()
	t.Chdir(".") // and back here at the end: the store goes to its own folder
	m := &aTeam{t: t, begun: make(chan string, 8), goOn: make(chan struct{}), opt: natsserver.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoSigs: true, NoLog: true}}
	m.startNATS()
	t.Cleanup(m.stopNATS)
	t.Setenv("INGOT_KEYCHAIN", "off")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("INGOT_HOME", t.TempDir())
	wb, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("INGOT_HOME", t.TempDir())
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := s3.OpenLocalStore(t.Context(), filepath.Join(b.Home.Data, "store"), 0, b.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	e := store.Endpoint()
	cred, err := e.Credentials.GetWithContext(&credentials.CredContext{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []secret.Store{b.Secrets, wb.Secrets} {
		if err := s.Put(s3.KeychainName(e.URL), []byte(cred.AccessKeyID+":"+cred.SecretAccessKey)); err != nil {
			t.Fatal(err)
		}
	}
	m.bucket, m.prefix = e.Bucket, "work"
	if m.s3, err = minio.New(strings.TrimPrefix(e.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(cred.AccessKeyID, cred.SecretAccessKey, ""), BucketLookup: minio.BucketLookupPath}); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("team:\n  nats: nats://%s\n  store: {endpoint: %q, bucket: %s, prefix: %s}\n  workers: [%s]\n", m.nats.Addr(), e.URL, m.bucket, m.prefix, keyLine(wb.PublicKey()))
	m.configure(b, text)
	wb.Config = m.b.Config
	m.worker = &worker{b: wb, running: map[string]bool{}, build: m.build,
		me: team.Worker{ID: wb.Signer.KeyID(), Key: keyLine(wb.PublicKey()), Host: "far", Version: api.Version, Builds: []string{"arm64"}, Slots: 1}}
	return m
}

func (m *aTeam) configure(b *backend.Backend, text string) {
	m.t.Helper()
	if err := os.WriteFile(b.Home.ConfigFile(), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	var err error
	if m.b, err = backend.Open(backend.Options{}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *aTeam) startNATS() {
	m.t.Helper()
	opt := m.opt
	s, err := natsserver.NewServer(&opt)
	if err != nil {
		m.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		m.t.Fatal("no NATS server")
	}
	m.nats, m.opt.Port = s, s.Addr().(*net.TCPAddr).Port
}

func (m *aTeam) stopNATS() {
	m.nats.Shutdown()
	m.nats.WaitForShutdown()
}

// work lets the worker work until the test ends.
func (m *aTeam) work() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- m.worker.run(ctx, func() { close(ready) }) }()
	m.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("worker: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		m.t.Fatalf("worker: %v", err)
	case <-time.After(60 * time.Second):
		m.t.Fatal("the worker does not come")
	}
}

// build is the worker's: a journal, a log, and signed evidence of a few bytes.
func (m *aTeam) build(ctx context.Context, set *target.Set, opt build.Options, grown func()) ([]delivery.Made, error) {
	bd, err := m.worker.b.Ledger.Build(opt.Target, opt.ID)
	if err != nil {
		return nil, err
	}
	j, err := event.OpenJournal(bd.JournalPath(), opt.Target, opt.ID, m.worker.b.Bus)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	if err := os.MkdirAll(filepath.Dir(bd.LogPath("kernel.log")), 0o700); err != nil {
		return nil, err
	}
	log := "  CC  one.o\n  CC  two.o\n"
	err = errors.Join(j.Add(event.Event{Kind: event.BuildStarted, PID: 1}), j.Add(event.Event{Kind: event.StepStarted, Step: "kernel"}), os.WriteFile(bd.LogPath("kernel.log"), []byte(log), 0o600))
	grown()
	m.begun <- opt.ID
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-m.goOn:
	}
	if err = errors.Join(err, j.Add(event.Event{Kind: event.StepFinished, Step: "kernel", Outcome: event.Passed}), j.Add(event.Event{Kind: event.BuildFinished, Outcome: event.Passed})); err != nil {
		return nil, err
	}
	made, err := m.documents(set, opt)
	made = append(made, delivery.Made{Kind: team.Record, File: publish.File{Name: "logs/kernel.log", Data: []byte(log)}})
	if m.made != nil {
		made = m.made(opt.ID, made)
	}
	return made, err
}

// documents are those that a build of the target would make, with its artifact.
func (m *aTeam) documents(set *target.Set, opt build.Options) ([]delivery.Made, error) {
	r, err := set.Get(opt.Target)
	if err != nil {
		return nil, err
	}
	lock, err := set.Lock(r)
	if err != nil {
		return nil, err
	}
	frags, err := build.Fragments(set, r)
	if err != nil {
		return nil, err
	}
	keys, err := build.KeysOf(r, lock, frags)
	if err != nil {
		return nil, err
	}
	disk := hexOf("disk of " + opt.ID)
	rules, err := leak.Shipped()
	if err != nil {
		return nil, err
	}
	export := record.Inputs{"step": "export/2", "image": keys.Image.Key(), "disk.raw": disk, "formats": "qcow2", "variant": r.Variant, "leak rules": rules.ID()}.Key()
	bytes := []byte("artifact of " + opt.ID)
	sum, sum512 := sha256.Sum256(bytes), sha512.Sum512(bytes)
	name := fmt.Sprintf("%s-%s-%s-%s-%s.qcow2", r.OS, r.Release, r.Variant, r.Arch, release.VersionOf(opt.ID))
	file := map[string]string{"sha256": hex.EncodeToString(sum[:]), "sha512": hex.EncodeToString(sum512[:])}
	serial := []byte("login: \n")
	head := func(k evidence.Kind, key string) evidence.Head {
		return evidence.Head{APIVersion: "ingot/v1", Kind: k, Target: opt.Target, Build: opt.ID, At: time.Now().UTC(), Verdict: evidence.Passed, InputKey: key, Tool: "ingot " + api.Version}
	}
	out := []delivery.Made{{Kind: team.Artifact, File: publish.File{Name: name, Data: bytes}}, {Kind: team.Record, File: publish.File{Name: "logs/serial-seeded.log", Data: serial}}}
	for _, d := range []struct {
		subject evidence.Subject
		head    evidence.Head
		fill    func(evidence.Head) any
	}{
		{evidence.Subject{Name: "local", Digest: map[string]string{"sha256": hexOf("guest")}}, head(evidence.KindGuest, hexOf("guest")), func(h evidence.Head) any { return evidence.Guest{Head: h, Name: "local"} }},
		{evidence.Subject{Name: "vmlinuz", Digest: map[string]string{"sha256": hexOf("vmlinuz")}}, head(evidence.KindKernel, keys.Kernel.Key()), func(h evidence.Head) any { return evidence.Kernel{Head: h, Release: "6.1-ingot"} }},
		{evidence.Subject{Name: "disk.raw", Digest: map[string]string{"sha256": disk}}, head(evidence.KindImage, keys.Image.Key()), func(h evidence.Head) any { return evidence.Image{Head: h} }},
		{evidence.Subject{Name: name, Digest: file}, head(evidence.KindArtifact, export), func(h evidence.Head) any {
			return evidence.Artifact{Head: h, Name: name, Format: "qcow2", File: "outputs/export-" + export[:16] + "/" + name, Size: int64(len(bytes)), SHA512: file["sha512"], ImageDigest: disk, Leaks: &evidence.Leaks{}}
		}},
		{evidence.Subject{Name: name, Digest: map[string]string{"sha256": file["sha256"]}}, head(evidence.KindProof, hexOf("proof")), func(h evidence.Head) any {
			return evidence.Proof{Head: h, Artifact: name, DigestAfter: file["sha256"], Boots: []evidence.Boot{{Name: "seeded", Verdict: evidence.Passed, Serial: evidence.File{Name: "logs/serial-seeded.log", SHA256: hexOf(string(serial)), Size: int64(len(serial))}}}}
		}},
	} {
		doc, err := evidence.Seal(context.Background(), m.worker.b.Signer, d.subject, d.head, d.fill(d.head))
		if err != nil {
			return nil, err
		}
		out = append(out, delivery.Made{Kind: team.Document, File: publish.File{Name: doc.ID, Data: doc.Envelope}})
	}
	return out, nil
}

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// overwrite puts other bytes under the name of an object.
func (m *aTeam) overwrite(id, digest, text string) {
	_, err := m.s3.PutObject(context.Background(), m.bucket, m.prefix+"/"+id+"/"+digest, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
	if err != nil {
		m.t.Error(err)
	}
}

// submitted is a build that a test follows.
type submitted struct {
	id     string
	events chan api.Event
	end    chan error
}

func (m *aTeam) submit() submitted {
	m.t.Helper()
	c := owner.ClientOf(m.b)
	id, err := c.Submit(m.t.Context(), api.Submission{Target: teamTarget, Team: true})
	if err != nil {
		m.t.Fatal(err)
	}
	s := submitted{id, make(chan api.Event, 1000), make(chan error, 1)}
	go func() { s.end <- c.Follow(m.t.Context(), teamTarget, id, 0, func(e api.Event) { s.events <- e }) }()
	return s
}

// until waits for an event.
func (s submitted) until(t *testing.T, what string, fits func(api.Event) bool) api.Event {
	t.Helper()
	limit := time.After(90 * time.Second)
	for {
		select {
		case e := <-s.events:
			t.Logf("%d %s %s %s", e.ID, e.Kind, e.Step, e.Msg)
			if fits(e) {
				return e
			}
		case <-limit:
			t.Fatalf("%s did not come", what)
		}
	}
}

func (s submitted) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.end:
		return err
	case <-time.After(90 * time.Second):
		t.Fatal("the build does not end")
		return nil
	}
}

// The team builds, the submitter checks and publishes; the server goes away in
// the middle and is restarted: nothing is lost, and one version is published.
// INGOT_AWAY, like 10m, is how long it stays away.
func TestTeamBuilds(t *testing.T) {
	m := newTeam(t)
	runOwner(t)
	s := m.submit()
	s.until(t, "the note that there is no worker", func(e api.Event) bool { return strings.Contains(e.Msg, "waiting: no worker") })
	m.work()
	hometest.Within(t, m.begun, "the build at the worker")
	s.until(t, "the step", func(e api.Event) bool { return e.Kind == event.StepStarted && e.Step == "kernel" && e.Origin > 0 })
	m.stopNATS()
	s.until(t, "the note that the server is unreachable", func(e api.Event) bool { return strings.Contains(e.Msg, "continues without the server") })
	close(m.goOn) // the worker ends the build meanwhile
	if d, err := time.ParseDuration(os.Getenv("INGOT_AWAY")); err == nil {
		time.Sleep(d)
		if o, err := owner.ClientOf(m.b).Info(t.Context()); err != nil || len(o.Builds) != 1 {
			t.Errorf("after %s without a server: %+v, %v", d, o, err)
		}
	}
	m.startNATS()
	s.until(t, "the server's return", func(e api.Event) bool { return strings.Contains(e.Msg, "reachable again") })
	if err := s.ends(t); err != nil {
		t.Fatal(err)
	}
	rows, err := status.Rows(t.Context(), m.b, teamTarget)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]api.Cell{"configured": rows[0].Configured, "guest": rows[0].Guest, "kernel": rows[0].Kernel, "exported": rows[0].Exported, "published": rows[0].Published} {
		if c.State != api.Passed {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c := rows[0].Boots; c.State != api.Passed && c.Cause != "host.qemu-changed" { // the worker's QEMU is nobody's
		t.Errorf("boots: %+v", c)
	}
	doc, err := m.b.Evidence(t.Context(), rows[0].Boots.Evidence)
	if err != nil || doc.KeyID != m.worker.me.ID {
		t.Errorf("proof: key %s, %v", doc.KeyID, err)
	}
	bd, err := m.b.Ledger.Build(teamTarget, s.id)
	if err != nil {
		t.Fatal(err)
	}
	if log, err := os.ReadFile(bd.LogPath(build.WorkerLog("kernel", m.worker.me.ID))); err != nil || !bytes.Contains(log, []byte("two.o\n")) {
		t.Errorf("log: %q, %v", log, err)
	}
	events, err := bd.Journal()
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for i, e := range events {
		if e.ID != int64(i+1) || e.PID == 1 {
			t.Errorf("event %d: %+v", i, e)
		}
		if e.Kind == event.StepFinished && e.Step == "kernel" {
			steps++
		}
	}
	if steps != 1 {
		t.Errorf("the kernel step ended %d times", steps)
	}
	left := 1
	for end := time.Now().Add(30 * time.Second); left > 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // it is cleared after the build's end
		left = 0
		for range m.s3.ListObjects(t.Context(), m.bucket, minio.ListObjectsOptions{Prefix: m.prefix + "/" + s.id, Recursive: true}) {
			left++
		}
	}
	if left > 0 {
		t.Errorf("%d objects are left in the bucket", left)
	}
	released := 0
	for o := range m.s3.ListObjects(t.Context(), m.bucket, minio.ListObjectsOptions{Prefix: "debian/", Recursive: true}) {
		if strings.HasSuffix(o.Key, ".qcow2") {
			released++
		}
	}
	if released != 1 {
		t.Errorf("%d disks are published", released)
	}
	v, err := verify.Check(t.Context(), m.b, verify.Options{Subject: receiptURL(t, m.b, rows[0].Published.Evidence)})
	if err != nil || len(v.Proofs) != 1 || v.Key != m.b.Signer.KeyID() {
		t.Errorf("verify: %+v, %v", v, err)
	}
}

func receiptURL(t *testing.T, b *backend.Backend, id string) string {
	t.Helper()
	doc, err := b.Evidence(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var r evidence.Receipt
	if err := doc.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r.URL
}

// A worker that lies is found out, each lie with its own cause; nothing is
// published, and no cell passes.
func TestTeamLies(t *testing.T) {
	m := newTeam(t)
	runOwner(t)
	close(m.goOn)
	stranger, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	honest := m.worker.b.Signer
	of := func(made []delivery.Made, kind team.PieceKind) int {
		return slices.IndexFunc(made, func(x delivery.Made) bool { return x.Kind == kind })
	}
	m.work()
	for _, c := range []struct {
		name, cause string
		lie         func(id string, made []delivery.Made) []delivery.Made
	}{
		{"a changed byte under the artifact's digest", "team.digest-differs", func(id string, made []delivery.Made) []delivery.Made {
			a := made[of(made, team.Artifact)]
			m.overwrite(id, hexOf(string(a.Data)), strings.Replace(string(a.Data), "a", "b", 1))
			return made
		}},
		{"no artifact", "team.digest-differs", func(_ string, made []delivery.Made) []delivery.Made {
			i := of(made, team.Artifact)
			return slices.Delete(made, i, i+1)
		}},
		{"more bytes than its evidence says", "team.digest-differs", func(id string, made []delivery.Made) []delivery.Made {
			a := made[of(made, team.Artifact)]
			m.overwrite(id, hexOf(string(a.Data)), string(a.Data)+"more")
			return made
		}},
		{"evidence of nobody", "team.worker-unknown", nil},
		{"evidence that was changed", "evidence.changed", func(_ string, made []delivery.Made) []delivery.Made {
			i := of(made, team.Document)
			made[i].Name = "guest-000000000000"
			return made
		}},
		{"a pass without its proof", "team.result-invalid", func(_ string, made []delivery.Made) []delivery.Made {
			return slices.DeleteFunc(made, func(x delivery.Made) bool { return strings.HasPrefix(x.Name, "proof-") })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.made = c.lie
			if m.worker.b.Signer = honest; c.lie == nil {
				m.worker.b.Signer = stranger
			}
			s := m.submit()
			err := s.ends(t)
			if id := cause.IDOf(err); id != c.cause || api.ClassOf(err) != api.ClassVerify {
				t.Errorf("cause %q, class %v: %v", id, api.ClassOf(err), err)
			}
			if _, fix := api.Advice(err); fix == "" {
				t.Error("nothing to do about it")
			}
			rows, err := status.Rows(t.Context(), m.b, teamTarget)
			if err != nil || rows[0].Published.State == api.Passed {
				t.Errorf("published: %+v, %v", rows, err)
			}
		})
	}
	for o := range m.s3.ListObjects(t.Context(), m.bucket, minio.ListObjectsOptions{Prefix: "debian/", Recursive: true}) {
		t.Errorf("published: %s", o.Key)
	}
}

// A worker whose key is not believed is not waited for; one of another version
// gets no work, and the build says so and can be cancelled; so can one that a
// worker runs.
func TestTeamWaitsForItsOwn(t *testing.T) {
	m := newTeam(t)
	runOwner(t)
	m.worker.me.Version = "v0.0.9"
	m.work()
	s := m.submit()
	e := s.until(t, "the note about the version", func(e api.Event) bool { return strings.Contains(e.Msg, "waiting: no worker") })
	if !strings.Contains(e.Msg, `"v0.0.9"`) || !strings.Contains(e.Msg, "ingot "+api.Version) {
		t.Errorf("said: %s", e.Msg)
	}
	if err := owner.ClientOf(m.b).Cancel(t.Context(), s.id); err != nil {
		t.Fatal(err)
	}
	if err := s.ends(t); api.ClassOf(err) != api.ClassCancelled {
		t.Errorf("cancelled while it waits: %v", err)
	}

	right := *m
	right.worker = &worker{b: m.worker.b, me: m.worker.me, running: map[string]bool{}, build: right.build}
	right.worker.me.Version = api.Version
	right.work()
	s = m.submit()
	hometest.Within(t, m.begun, "the build at the worker")
	s.until(t, "the step", func(e api.Event) bool { return e.Kind == event.StepStarted })
	if err := owner.ClientOf(m.b).Cancel(t.Context(), s.id); err != nil {
		t.Fatal(err)
	}
	if err := s.ends(t); api.ClassOf(err) != api.ClassCancelled {
		t.Errorf("cancelled while it runs: %v", err)
	}

	text, err := os.ReadFile(m.b.Home.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	m.configure(m.b, strings.Replace(string(text), m.worker.me.Key, keyLine(m.b.PublicKey()), 1))
	s = m.submit()
	err = s.ends(t)
	if cause.IDOf(err) != "team.worker-unknown" || api.ClassOf(err) != api.ClassVerify {
		t.Errorf("an unknown worker: %v", err)
	}
	hometest.Within(t, m.begun, "the unknown worker's build")
}

// What a team cannot do is refused before anything is begun; what a worker is
// asked for is looked at.
func TestTeamRefusals(t *testing.T) {
	m := newTeam(t)
	for _, s := range []api.Submission{{Guest: "x"}, {Check: true}, {Unproven: true}, {Renew: true}, {Until: "never"}} {
		s.Target, s.Team = teamTarget, true
		if err := owner.CheckSubmission(m.b, s); api.ClassOf(err) != api.ClassInput {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := owner.CheckSubmission(m.b, api.Submission{Target: teamTarget, Team: true}); err != nil {
		t.Error(err)
	}
	var err error
	if m.worker.objects, err = remote.Objects(t.Context(), m.worker.b); err != nil {
		t.Fatal(err)
	}
	in, err := remote.InputsOf(m.b, api.Submission{Target: teamTarget, Force: []string{"publish", "kernel"}})
	if err != nil || in.Until != "prove" || !slices.Equal(in.Force, []string{"kernel"}) {
		t.Errorf("inputs: %q %q, %v", in.Until, in.Force, err)
	}
	const id = "20260101-000000-abcd"
	order := func(text []byte) jobs.Job {
		p, err := remote.SendInputs(t.Context(), m.worker.objects, id, text)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(team.Order{Version: api.Version, Arch: "arm64", Inputs: p})
		if err != nil {
			t.Fatal(err)
		}
		return jobs.Job{ID: id, Target: teamTarget, Data: data}
	}
	good, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, opt, err := m.worker.accept(t.Context(), order(good)); err != nil || opt.ID != id || opt.Until != "prove" {
		t.Fatalf("a good order: %+v, %v", opt, err)
	}
	other := order(good)
	other.Target = "other"
	upwards := order(good)
	upwards.ID = "../x"
	for name, j := range map[string]jobs.Job{
		"publishes":       order(bytes.Replace(good, []byte(`"until":"prove"`), []byte(`"until":"publish"`), 1)),
		"another recipe":  order(bytes.Replace(good, []byte(`title: `), []byte(`title: X`), 1)),
		"no inputs":       order([]byte("hello")),
		"another target":  other,
		"upwards":         upwards,
		"another version": {ID: id, Target: teamTarget, Data: []byte(`{"version":"v0","arch":"arm64","inputs":{"kind":"inputs"}}`)},
		"too large":       {ID: id, Target: teamTarget, Data: []byte(fmt.Sprintf(`{"version":%q,"arch":"arm64","inputs":{"kind":"inputs","size":%d}}`, api.Version, remote.MaxInputs+1))},
		"no digest":       {ID: id, Target: teamTarget, Data: []byte(fmt.Sprintf(`{"version":%q,"arch":"arm64","inputs":{"kind":"inputs","sha256":"../../x","size":3}}`, api.Version))},
	} {
		if _, _, _, err := m.worker.accept(t.Context(), j); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
