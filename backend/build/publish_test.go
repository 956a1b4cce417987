package build

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/image"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

// publishing is a run whose artifact is made, and which comes to the publish
// step.
func publishing(t *testing.T, l *Line, leaks *evidence.Leaks) (*run, artifacts) {
	t.Helper()
	recipe, err := l.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Line: l, opt: Options{Target: recipe.Name, Unproven: true}, recipe: recipe, records: newRecords(nil)}
	if r.folder, err = l.Ledger.Build(recipe.Name, NewID(time.Now())); err != nil {
		t.Fatal(err)
	}
	if r.journal, err = event.OpenJournal(r.folder.JournalPath(), recipe.Name, r.folder.ID, l.Bus); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.journal.Close() })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "disk.qcow2"), "bytes")
	a := artifact{Name: "disk.qcow2", Format: "qcow2", SHA256: strings.Repeat("a", 64), Size: 5}
	kernel := image.Kernel{Release: "6.1-ingot"}
	if err := r.keepArtifact(context.Background(), Inputs{"step": "export"}, output{Files: map[string]string{"disk.raw": strings.Repeat("b", 64)}}, a, kernel, leaks); err != nil {
		t.Fatal(err)
	}
	return r, artifacts{Version: "20260101-0000", Kernel: kernel, dir: dir, Files: []artifact{a}}
}

// An endpoint that is down, refuses the credentials or has no such bucket: the
// failure is kept as evidence with its cause and fix, and tells no secret.
func TestPublishFaultsAreEvidence(t *testing.T) {
	const wrong = "wrong-password-77"
	store, err := publish.OpenLocalStore(context.Background(), filepath.Join(t.TempDir(), "store"), 0, secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	note := evidence.Leaks{Findings: []evidence.Leak{{Severity: evidence.LeakNote, In: "file", Path: "/var/log/auth.log"}}}
	key := evidence.Leaks{Findings: []evidence.Leak{{Severity: evidence.LeakBlocks, In: "file", Path: "/root/key"}}}
	for name, c := range map[string]struct {
		change func(*publish.Endpoint)
		want   string
		leaks  *evidence.Leaks
	}{
		"down":        {func(e *publish.Endpoint) { e.URL = "http://127.0.0.1:1" }, "publish.endpoint-down", &note},
		"credentials": {func(e *publish.Endpoint) { e.Credentials = credentials.NewStaticV4("ingot", wrong, "") }, "publish.credentials", &note},
		"bucket":      {func(e *publish.Endpoint) { e.Bucket = "no-such-bucket" }, "publish.no-bucket", &note},
		"none":        {func(*publish.Endpoint) {}, "", &note},
		"leak":        {func(*publish.Endpoint) {}, "image.leak", &key},
		"not scanned": {func(*publish.Endpoint) {}, "image.leak", nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := line(t, &bare{})
			signer, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			e := store.Endpoint()
			e.Prefix = name
			c.change(&e)
			l.Endpoint = func(context.Context) (publish.Endpoint, func(), error) { return e, func() {}, nil }
			l.Publish = func(ctx context.Context, e publish.Endpoint, r publish.Release, o publish.Options) (publish.Receipt, error) {
				o.Signer = signer
				return publish.Publish(ctx, e, r, o)
			}
			r, arts := publishing(t, l, c.leaks)
			err = r.publish(context.Background(), arts)
			if CauseOf(err) != c.want {
				t.Fatalf("%v, want %s", err, c.want)
			}
			d, ok := documents(t, l, "debian-12-arm64")[evidence.KindReceipt]
			switch {
			case !ok:
				t.Fatal("no evidence was kept")
			case c.want == "":
				if d.Trust != evidence.Signed || d.Head.Verdict != evidence.Passed {
					t.Errorf("recorded: %+v", d.Head)
				}
			case d.Trust != evidence.Unsigned || d.Head.Verdict != evidence.Failed || d.Head.Cause != c.want || d.Head.Fix == "" || d.Head.Message == "":
				t.Errorf("recorded: %+v", d.Head)
			case c.leaks == &key && !strings.Contains(d.Head.Message, "/root/key"):
				t.Errorf("the path is not named: %+v", d.Head)
			case strings.Contains(string(d.Envelope), wrong):
				t.Error("the evidence holds the password")
			}
		})
	}
}
