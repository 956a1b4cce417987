package build

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/publish"
	"ingot/backend/publish/s3"
	"ingot/backend/secret"
)

// publishing returns a build before its publish step, with an artifact.
func publishing(t *testing.T, l *Line, leaks *evidence.Leaks) (*Session, release.Artifacts) {
	t.Helper()
	recipe, err := l.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Begin(t.Context(), Options{Target: recipe.Name, Unproven: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.End(nil) })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "disk.qcow2"), "bytes")
	a := release.Artifact{Name: "disk.qcow2", Format: "qcow2", SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("bytes"))), Size: 5}
	kernel := family.Kernel{Release: "6.1-ingot"}
	if err := (exporter{r}).keepArtifact(context.Background(), record.Inputs{"step": "export"}, outputs.Output{Meta: []byte(`{"size": 1}`), Files: map[string]string{"disk.raw": strings.Repeat("b", 64)}}, a, kernel, leaks); err != nil {
		t.Fatal(err)
	}
	return r, release.Artifacts{Version: "20260101-0000", Kernel: kernel, Dir: dir, Files: []release.Artifact{a}}
}

// If an endpoint is down, refuses the credentials or has no such bucket, the failure is
// recorded as evidence with its cause and fix, and contains no secret.
func TestPublishFaultsAreEvidence(t *testing.T) {
	const wrong = "wrong-password-77"
	store, err := s3.OpenLocalStore(context.Background(), filepath.Join(t.TempDir(), "store"), 0, secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	note := evidence.Leaks{Findings: []evidence.Leak{{Severity: evidence.LeakNote, In: "file", Path: "/var/log/auth.log"}}}
	unread := evidence.Leaks{Findings: []evidence.Leak{{Rule: evidence.LeakUnread, Severity: evidence.LeakBlocks, In: "file system", Path: "UFS in partition 2"}}}
	both := evidence.Leaks{Findings: append([]evidence.Leak{{Severity: evidence.LeakBlocks, In: "file", Path: "/root/key"}}, unread.Findings...)}
	key := evidence.Leaks{Findings: []evidence.Leak{{Severity: evidence.LeakBlocks, In: "file", Path: "/root/key"}}}
	for name, c := range map[string]struct {
		change func(*s3.Endpoint)
		want   string
		leaks  *evidence.Leaks
	}{
		"down":                  {func(e *s3.Endpoint) { e.URL = "http://127.0.0.1:1" }, "publish.endpoint-down", &note},
		"credentials":           {func(e *s3.Endpoint) { e.Credentials = credentials.NewStaticV4("ingot", wrong, "") }, "publish.credentials", &note},
		"bucket":                {func(e *s3.Endpoint) { e.Bucket = "no-such-bucket" }, "publish.no-bucket", &note},
		"none":                  {func(*s3.Endpoint) {}, "", &note},
		"leak":                  {func(*s3.Endpoint) {}, "image.leak", &key},
		"not scanned":           {func(*s3.Endpoint) {}, "image.leak", nil},
		"unread":                {func(*s3.Endpoint) {}, "image.leak", &unread},
		"unscanned":             {func(*s3.Endpoint) {}, "", &unread},
		"unscanned, with a key": {func(*s3.Endpoint) {}, "image.leak", &both},
		"unscanned, but read":   {func(*s3.Endpoint) {}, "", &note},
	} {
		t.Run(name, func(t *testing.T) {
			l := line(t, &bare{})
			signer, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			e := store.Endpoint()
			e.Prefix = strings.NewReplacer(" ", "-", ",", "").Replace(name)
			c.change(&e)
			l.Publisher = func(context.Context, string) (publish.Publisher, func(), error) {
				return s3.Publisher{Endpoint: e}, func() {}, nil
			}
			l.Publish = func(ctx context.Context, to publish.Publisher, r publish.Release, o publish.Options) (publish.Receipt, error) {
				o.Signer = signer
				return to.Publish(ctx, r, o)
			}
			r, arts := publishing(t, l, c.leaks)
			r.opt.Unscanned = strings.HasPrefix(name, "unscanned")
			err = r.Publish(context.Background(), arts)
			if cause.IDOf(err) != c.want {
				t.Fatalf("%v, want %s", err, c.want)
			}
			d, ok := documents(t, l, "debian-12-arm64")[evidence.KindReceipt]
			switch {
			case !ok:
				t.Fatal("no evidence was kept")
			case c.want == "":
				var rec evidence.Receipt
				if err := d.Decode(&rec); err != nil || d.Trust != evidence.Signed || d.Head.Verdict != evidence.Passed {
					t.Errorf("recorded: %+v, %v", d.Head, err)
				}
				if marked := c.leaks == &unread; rec.Unscanned != marked || strings.HasSuffix(rec.Version, "-unscanned") != marked {
					t.Errorf("marked as unscanned: %v, version %s", rec.Unscanned, rec.Version)
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
