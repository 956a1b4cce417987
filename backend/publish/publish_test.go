package publish_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"

	"ingot/backend/publish"
	"ingot/backend/publish/publishtest"
	"ingot/backend/publish/s3"
	"ingot/backend/secret"
)

// store is a real S3 server for all tests of the package: the gateway allows one per
// process.
var store *s3.LocalStore

var storeSecret string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ingot-publish-test-")
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer os.RemoveAll(dir)
		keys := secret.Files{Dir: filepath.Join(dir, "keys")}
		if store, err = s3.OpenLocalStore(context.Background(), filepath.Join(dir, "store"), 0, keys); err != nil {
			fmt.Println(err)
			return 1
		}
		defer store.Close()
		b, _ := keys.Get("store-secret")
		storeSecret = string(b)
		return m.Run()
	}())
}

// at returns the store's endpoint with a separate prefix for the test.
func at(t *testing.T) s3.Endpoint {
	e := store.Endpoint()
	e.Prefix = strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-")
	return e
}

func fetchURL(t *testing.T, u string) []byte {
	t.Helper()
	resp, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", u, resp.Status, err)
	}
	return b
}

// download writes every published file to a folder, as a reader would.
func download(t *testing.T, rec publish.Receipt) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range rec.Files {
		p := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, fetchURL(t, f.URL), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPublish(t *testing.T) {
	s, e, r := publishtest.Signer(t), at(t), publishtest.Release(t, "1")
	rec, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := publish.DigestFile(r.Files[0])
	if rec.DiskSHA256 != want.SHA256 || rec.DiskSize != 20<<20 || !rec.Anonymous || !rec.Local {
		t.Errorf("receipt %+v", rec)
	}
	dir := download(t, rec)
	key := filepath.Join(dir, "..", "pub-"+filepath.Base(dir))
	if err := os.WriteFile(key, fetchURL(t, e.ID()+"/ingot.pub"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(key)
	for _, c := range [][]string{{"sha256sum", "-c", "SHA256SUMS"}, {"sha512sum", "-c", "SHA512SUMS"}, {"minisign", "-Vm", "SHA256SUMS", "-p", key}} {
		if _, err := exec.LookPath(c[0]); err != nil {
			t.Skip(c[0] + " is not installed")
		}
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", c, err, out)
		}
	}
	var index publish.Index
	if err := json.Unmarshal(fetchURL(t, e.ID()+"/index.json"), &index); err != nil || len(index.Images) != 1 || index.Images[0].SHA256 != want.SHA256 {
		t.Errorf("index %+v, %v", index, err)
	}
	if lima := string(fetchURL(t, rec.URL+"lima.yaml")); !strings.Contains(lima, "sha256:"+want.SHA256) || !strings.Contains(lima, "aarch64") {
		t.Errorf("lima.yaml: %s", lima)
	}
	if latest := string(fetchURL(t, e.ID()+"/debian/12/arm64/latest.json")); !strings.Contains(latest, `"version": "1"`) {
		t.Errorf("latest: %s", latest)
	}
	noSecrets(t, dir)
}

func noSecrets(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if bytes.Contains(b, []byte(storeSecret)) {
			t.Errorf("%s holds the store's secret", p)
		}
		return err
	})
	if err != nil || storeSecret == "" {
		t.Error(err)
	}
}

// A repeated publish compares; other bytes under the same version are a conflict and
// change nothing.
func TestRepeatAndConflict(t *testing.T) {
	s, e, r := publishtest.Signer(t), at(t), publishtest.Release(t, "1")
	for range 2 {
		if _, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s}); err != nil {
			t.Fatal(err)
		}
	}
	other := publishtest.Release(t, "1")
	var perr *publish.Error
	if _, err := s3.Publish(context.Background(), e, other, publish.Options{Signer: s}); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("other bytes: %v", err)
	}
	if _, err := s3.Publish(context.Background(), e, publishtest.Release(t, "2"), publish.Options{Signer: publishtest.Signer(t)}); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("other publisher's key: %v", err)
	}
}

// cutAfter passes n PUTs and then cancels.
type cutAfter struct {
	mu     sync.Mutex
	left   int
	cancel func()
}

func (c *cutAfter) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.cancel()
	}
}

// A publish that was interrupted at any object can be repeated; until it is complete,
// it is not in the catalogue.
func TestCutOffAndRepeated(t *testing.T) {
	s, e, r := publishtest.Signer(t), at(t), publishtest.Release(t, "1")
	for n := 1; n <= 4; n++ {
		ctx, cancel := context.WithCancel(context.Background())
		cut := &cutAfter{left: n, cancel: cancel}
		_, err := s3.Publish(ctx, e, r, publish.Options{Signer: s, Progress: func(_, _ int64) { cut.note() }})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cut after %d objects: %v", n, err)
		}
		if resp, err := http.Get(e.ID() + "/index.json"); err != nil || resp.StatusCode == 200 {
			t.Fatalf("half a release is in the catalogue: %v", err)
		}
	}
	if _, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s}); err != nil {
		t.Fatal(err)
	}
}

// The catalogue must have the releases of two concurrent publishers.
func TestTwoPublishers(t *testing.T) {
	s, e := publishtest.Signer(t), at(t)
	var wg sync.WaitGroup
	for i := range 4 {
		r := publishtest.Release(t, fmt.Sprintf("v%d", i))
		wg.Go(func() {
			if _, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var index publish.Index
	if err := json.Unmarshal(fetchURL(t, e.ID()+"/index.json"), &index); err != nil || len(index.Images) != 4 {
		t.Errorf("%d of 4 in the catalogue, %v", len(index.Images), err)
	}
}

func TestUnproven(t *testing.T) {
	s, e, r := publishtest.Signer(t), at(t), publishtest.Release(t, "1")
	r.Proven = false
	var perr *publish.Error
	if _, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s}); !errors.As(err, &perr) || perr.Cause != "publish.unproven" {
		t.Fatalf("unproven: %v", err)
	}
	rec, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s, AllowUnproven: true})
	if err != nil || !strings.Contains(rec.URL, "/1-unproven/") {
		t.Fatalf("%+v, %v", rec.URL, err)
	}
	if resp, err := http.Get(e.ID() + "/debian/12/arm64/latest.json"); err != nil || resp.StatusCode != 404 {
		t.Errorf("latest points at an unproven image: %v", err)
	}
}

// Bytes that were changed on the server are detected.
func TestChangedOnTheServer(t *testing.T) {
	s, e, r := publishtest.Signer(t), at(t), publishtest.Release(t, "1")
	if _, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s}); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: e.Credentials, Region: e.Region})
	if err != nil {
		t.Fatal(err)
	}
	name := e.Prefix + "/debian/12/arm64/1/" + r.Files[0].Name
	if _, err := c.PutObject(context.Background(), e.Bucket, name, strings.NewReader("evil"), 4, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	var perr *publish.Error
	if _, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s}); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("changed object: %v", err)
	}
}

// A home can continue to publish after a change of its key: the new key replaces the
// old one, which is kept. Another publisher, or the home with its old key, cannot.
func TestPublishAfterRotation(t *testing.T) {
	keys, e := secret.Files{Dir: t.TempDir()}, at(t)
	old, err := secret.LoadOrCreateSigner(keys)
	if err != nil {
		t.Fatal(err)
	}
	own := func(s *secret.Signer) publish.Options {
		all, err := secret.Retired(keys)
		if err != nil {
			t.Fatal(err)
		}
		if all == nil {
			all = map[string]ed25519.PublicKey{}
		}
		all[s.KeyID()] = s.Public()
		return publish.Options{Signer: s, Keys: all}
	}
	before, first := own(old), publishtest.Release(t, "1")
	if _, err := s3.Publish(context.Background(), e, first, before); err != nil {
		t.Fatal(err)
	}
	fresh, err := secret.Rotate(keys)
	if err != nil {
		t.Fatal(err)
	}
	stranger := publishtest.Signer(t)
	var perr *publish.Error
	for version, opt := range map[string]publish.Options{
		"stranger":       {Signer: stranger, Keys: map[string]ed25519.PublicKey{stranger.KeyID(): stranger.Public()}},
		"old-not-known":  {Signer: fresh, Keys: map[string]ed25519.PublicKey{fresh.KeyID(): fresh.Public()}},
		"same-id":        {Signer: stranger, Keys: map[string]ed25519.PublicKey{old.KeyID(): stranger.Public()}},
		"no-keys-at-all": {Signer: fresh},
	} {
		if _, err := s3.Publish(context.Background(), e, publishtest.Release(t, version), opt); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
			t.Errorf("%s: %v", version, err)
		}
	}
	if got := string(fetchURL(t, e.ID()+"/ingot.pub")); got != old.MinisignPublic() {
		t.Errorf("ingot.pub was replaced by a stranger: %s", got)
	}
	for _, r := range []publish.Release{publishtest.Release(t, "3"), first, publishtest.Release(t, "4")} { // first: repeated, signed by the old key
		if _, err := s3.Publish(context.Background(), e, r, own(fresh)); err != nil {
			t.Fatalf("version %s after the rotation: %v", r.Version, err)
		}
	}
	if got := string(fetchURL(t, e.ID()+"/ingot.pub")); got != fresh.MinisignPublic() {
		t.Errorf("ingot.pub is %s, want the new key", got)
	}
	if got := string(fetchURL(t, e.ID()+"/keys/"+old.KeyID()+".pub")); got != old.MinisignPublic() {
		t.Errorf("the old key was not kept: %s", got)
	}
	for version, s := range map[string]*secret.Signer{"1": old, "3": fresh, "4": fresh} {
		base := e.ID() + "/debian/12/arm64/" + version + "/SHA256SUMS"
		if !secret.VerifyMinisign(s.MinisignPublic(), fetchURL(t, base), fetchURL(t, base+".minisig")) {
			t.Errorf("version %s is not signed by key %s", version, s.KeyID())
		}
	}
	if _, err := s3.Publish(context.Background(), e, publishtest.Release(t, "5"), before); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("the home as it was before: %v", err)
	}
}

// bent changes the first byte of the files with the ending, for readers.
type bent struct{ ending string }

func (b bent) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, b.ending) {
		_, err = io.ReadFull(resp.Body, make([]byte, 1))
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("x"), resp.Body))
	}
	return resp, err
}

// A receipt is given only for what a reader without credentials gets: the bytes of the
// disk and of lima.yaml.
func TestPublicBytesAreCompared(t *testing.T) {
	s, e, r := publishtest.Signer(t), at(t), publishtest.Release(t, "1")
	for ending, want := range map[string]string{".qcow2": "publish.failed", "lima.yaml": "publish.failed", ".nothing": ""} {
		rec, err := s3.Publish(context.Background(), e, r, publish.Options{Signer: s, HTTP: &http.Client{Transport: bent{ending}}})
		var perr *publish.Error
		errors.As(err, &perr)
		switch {
		case want == "" && (err != nil || !rec.Anonymous):
			t.Errorf("whole: %+v, %v", rec, err)
		case want != "" && (perr == nil || perr.Cause != want || !strings.Contains(perr.Msg, ending+" returns other bytes")):
			t.Errorf("%s is bent: %v", ending, err)
		case want != "" && rec.Anonymous:
			t.Errorf("%s is bent: there is a receipt", ending)
		}
	}
}
