package publish

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/secret"
)

// store is one real S3 server for all tests of the package: the gateway allows
// one in a process.
var store *LocalStore

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
		if store, err = OpenLocalStore(context.Background(), filepath.Join(dir, "store"), 0, keys); err != nil {
			fmt.Println(err)
			return 1
		}
		defer store.Close()
		b, _ := keys.Get("store-secret")
		storeSecret = string(b)
		return m.Run()
	}())
}

func signer(t *testing.T) *secret.Signer {
	t.Helper()
	s, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at is the store's endpoint with a prefix of the test's own.
func at(t *testing.T) Endpoint {
	e := store.Endpoint()
	e.Prefix = strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-")
	return e
}

func release(t *testing.T, version string) Release {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	data := make([]byte, 20<<20) // two parts
	_, _ = rand.Read(data)
	if err := os.WriteFile(disk, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return Release{OS: "debian", Release: "12", Variant: "server", Arch: "arm64", Version: version, KernelRelease: "6.1-ingot", Proven: true, Proof: "proof-1",
		Sources: []Source{{"linux=6.1", []string{"http://deb.debian.org/debian/pool/main/l/linux/"}}},
		Files: []File{{Name: "disk-" + version + ".qcow2", Path: disk, MediaType: "application/octet-stream", Disk: true},
			{Name: "evidence/proof-1.json", Data: []byte("{}"), MediaType: "application/json"}}}
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

// download writes every published file into a folder, as a reader would.
func download(t *testing.T, rec Receipt) string {
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
	s, e, r := signer(t), at(t), release(t, "1")
	rec, err := Publish(context.Background(), e, r, Options{Signer: s})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := digestFile(r.Files[0])
	if rec.DiskSHA256 != want.SHA256 || rec.DiskSize != 20<<20 || !rec.Anonymous || !rec.Local {
		t.Errorf("receipt %+v", rec)
	}
	dir := download(t, rec)
	key := filepath.Join(dir, "..", "pub-"+filepath.Base(dir))
	if err := os.WriteFile(key, fetchURL(t, e.public()+"/ingot.pub"), 0o600); err != nil {
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
	var index Index
	if err := json.Unmarshal(fetchURL(t, e.public()+"/index.json"), &index); err != nil || len(index.Images) != 1 || index.Images[0].SHA256 != want.SHA256 {
		t.Errorf("index %+v, %v", index, err)
	}
	if lima := string(fetchURL(t, rec.URL+"lima.yaml")); !strings.Contains(lima, "sha256:"+want.SHA256) || !strings.Contains(lima, "aarch64") {
		t.Errorf("lima.yaml: %s", lima)
	}
	if latest := string(fetchURL(t, e.public()+"/debian/12/arm64/latest.json")); !strings.Contains(latest, `"version": "1"`) {
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

// A repeated publish is a comparison; other bytes under the same version are
// a conflict and change nothing.
func TestRepeatAndConflict(t *testing.T) {
	s, e, r := signer(t), at(t), release(t, "1")
	for range 2 {
		if _, err := Publish(context.Background(), e, r, Options{Signer: s}); err != nil {
			t.Fatal(err)
		}
	}
	other := release(t, "1")
	var perr *Error
	if _, err := Publish(context.Background(), e, other, Options{Signer: s}); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("other bytes: %v", err)
	}
	if _, err := Publish(context.Background(), e, release(t, "2"), Options{Signer: signer(t)}); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("other publisher's key: %v", err)
	}
}

// cutAfter lets n PUTs through and then cancels.
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

// A publish cut off at any object can be repeated; until it ends, no reader
// sees it in the catalogue.
func TestCutOffAndRepeated(t *testing.T) {
	s, e, r := signer(t), at(t), release(t, "1")
	for n := 1; n <= 4; n++ {
		ctx, cancel := context.WithCancel(context.Background())
		cut := &cutAfter{left: n, cancel: cancel}
		_, err := Publish(ctx, e, r, Options{Signer: s, Progress: func(_, _ int64) { cut.note() }})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cut after %d objects: %v", n, err)
		}
		if resp, err := http.Get(e.public() + "/index.json"); err != nil || resp.StatusCode == 200 {
			t.Fatalf("half a release is in the catalogue: %v", err)
		}
	}
	if _, err := Publish(context.Background(), e, r, Options{Signer: s}); err != nil {
		t.Fatal(err)
	}
}

// Two publishers at once must both end in the catalogue.
func TestTwoPublishers(t *testing.T) {
	s, e := signer(t), at(t)
	var wg sync.WaitGroup
	for i := range 4 {
		r := release(t, fmt.Sprintf("v%d", i))
		wg.Go(func() {
			if _, err := Publish(context.Background(), e, r, Options{Signer: s}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var index Index
	if err := json.Unmarshal(fetchURL(t, e.public()+"/index.json"), &index); err != nil || len(index.Images) != 4 {
		t.Errorf("%d of 4 in the catalogue, %v", len(index.Images), err)
	}
}

func TestUnproven(t *testing.T) {
	s, e, r := signer(t), at(t), release(t, "1")
	r.Proven = false
	var perr *Error
	if _, err := Publish(context.Background(), e, r, Options{Signer: s}); !errors.As(err, &perr) || perr.Cause != "publish.unproven" {
		t.Fatalf("unproven: %v", err)
	}
	rec, err := Publish(context.Background(), e, r, Options{Signer: s, AllowUnproven: true})
	if err != nil || !strings.Contains(rec.URL, "/1-unproven/") {
		t.Fatalf("%+v, %v", rec.URL, err)
	}
	if resp, err := http.Get(e.public() + "/debian/12/arm64/latest.json"); err != nil || resp.StatusCode != 404 {
		t.Errorf("latest points at an unproven image: %v", err)
	}
}

// Two publishers of one version: the second must not overwrite the first, even
// when both found nothing there. The disk takes several parts.
func TestCreateOnlyWithParts(t *testing.T) {
	e, a, b := at(t), release(t, "1"), release(t, "1")
	c, err := newClient(e)
	if err != nil {
		t.Fatal(err)
	}
	opt := minio.PutObjectOptions{}
	opt.SetMatchETagExcept("*")
	for i, r := range []Release{a, b} {
		f, err := os.Open(r.Files[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := c.createParts(context.Background(), c.key("disk"), f, Published{Size: 20 << 20}, opt, nil); (i == 1) != isPrecondition(err) {
			t.Fatalf("upload %d: %v", i+1, err)
		}
	}
	got, err := c.readBack(context.Background(), "disk")
	want, _ := digestFile(a.Files[0])
	if err != nil || got.SHA256 != want.SHA256 {
		t.Errorf("the first upload was overwritten: %v", err)
	}
}

// What the server gives back is compared, not believed.
func TestChangedOnTheServer(t *testing.T) {
	s, e, r := signer(t), at(t), release(t, "1")
	if _, err := Publish(context.Background(), e, r, Options{Signer: s}); err != nil {
		t.Fatal(err)
	}
	c, err := newClient(e)
	if err != nil {
		t.Fatal(err)
	}
	name := c.key("debian/12/arm64/1/" + r.Files[0].Name)
	if _, err := c.s3.PutObject(context.Background(), e.Bucket, name, strings.NewReader("evil"), 4, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	var perr *Error
	if _, err := Publish(context.Background(), e, r, Options{Signer: s}); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("changed object: %v", err)
	}
}

func TestFaults(t *testing.T) {
	s, r := signer(t), release(t, "1")
	proxy := httptest.NewTLSServer(reverse(t, store.Endpoint().URL))
	defer proxy.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		change func(*Endpoint)
		want   string
	}{
		"down":        {func(e *Endpoint) { e.URL = "http://127.0.0.1:1" }, "publish.endpoint-down"},
		"address":     {func(e *Endpoint) { e.URL = "not an address" }, "publish.endpoint-down"},
		"credentials": {func(e *Endpoint) { e.Credentials = credentials.NewStaticV4("ingot", "wrong-password-77", "") }, "publish.credentials"},
		"user":        {func(e *Endpoint) { e.Credentials = credentials.NewStaticV4("nobody", "wrong-password-77", "") }, "publish.credentials"},
		"bucket":      {func(e *Endpoint) { e.Bucket = "no-such-bucket" }, "publish.no-bucket"},
		"unknown CA":  {func(e *Endpoint) { e.URL = proxy.URL }, "publish.tls"},
		"CA file":     {func(e *Endpoint) { e.URL, e.CAFile = proxy.URL, "/no/such.pem" }, "publish.tls"},
		"own CA":      {func(e *Endpoint) { e.URL, e.CAFile = proxy.URL, ca }, ""},
		"not public":  {func(e *Endpoint) { e.PublicURL = store.Endpoint().URL + "/elsewhere" }, "publish.not-public"},
	}
	for name, c := range cases {
		e := at(t)
		e.Prefix += "-" + strings.ReplaceAll(strings.ToLower(name), " ", "-")
		c.change(&e)
		_, err := Publish(context.Background(), e, r, Options{Signer: s})
		var perr *Error
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.As(err, &perr) || perr.Cause != c.want):
			t.Errorf("%s: %v, want %s", name, err, c.want)
		case err != nil && (strings.Contains(err.Error(), "wrong-password-77") || strings.Contains(err.Error(), storeSecret)):
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}

// reverse passes requests on with the Host that the client signed.
func reverse(t *testing.T, to string) http.Handler {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = u.Scheme, u.Host
		r.Out.Host = r.In.Host
	}, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
}

func TestCredentials(t *testing.T) {
	keys := secret.Files{Dir: t.TempDir()}
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(k, "")
	}
	aws := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", aws)
	var perr *Error
	if _, err := FromConfig("", "", "https://s3.example.org", keys); !errors.As(err, &perr) || perr.Cause != "publish.credentials" {
		t.Fatalf("none: %v", err)
	}
	expect := func(kind, profile, want string) {
		t.Helper()
		c, err := FromConfig(kind, profile, "https://s3.example.org", keys)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			return
		}
		if v, err := c.GetWithContext(nil); err != nil || v.AccessKeyID != want {
			t.Errorf("%s: %s, %v, want %s", kind, v.AccessKeyID, err, want)
		}
	}
	if err := keys.Put(KeychainName("https://s3.example.org"), []byte("FROMKEYS:secret1")); err != nil {
		t.Fatal(err)
	}
	expect("keychain", "", "FROMKEYS")
	expect("", "", "FROMKEYS")
	if err := os.WriteFile(aws, []byte("[work]\naws_access_key_id=FROMFILE\naws_secret_access_key=secret2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("aws-profile", "work", "FROMFILE")
	t.Setenv("MINIO_ROOT_USER", "FROMMINIO")
	t.Setenv("MINIO_ROOT_PASSWORD", "secret3")
	expect("minio-env", "", "FROMMINIO")
	t.Setenv("AWS_ACCESS_KEY_ID", "FROMENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret4")
	expect("env", "", "FROMENV")
	expect("", "", "FROMENV")
}

// The port of another program, and the same store in another process.
func TestStoreNeighbours(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "something else") }))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	var port int
	_, _ = fmt.Sscan(u.Port(), &port)
	var perr *Error
	if _, err := OpenLocalStore(context.Background(), t.TempDir(), port, secret.Files{Dir: t.TempDir()}); !errors.As(err, &perr) || perr.Cause != "publish.port-in-use" {
		t.Errorf("taken port: %v", err)
	}
	// a port that cannot be listened on for another reason is not taken
	if _, err := OpenLocalStore(context.Background(), t.TempDir(), 99999, secret.Files{Dir: t.TempDir()}); err == nil || errors.As(err, &perr) && perr.Cause == "publish.port-in-use" {
		t.Errorf("no port: %v", err)
	}
}

// After its key was changed a home publishes on: the new key takes the old one's
// place, which is kept. Strangers, and the home as it was before, do not.
func TestPublishAfterRotation(t *testing.T) {
	keys, e := secret.Files{Dir: t.TempDir()}, at(t)
	old, err := secret.LoadOrCreateSigner(keys)
	if err != nil {
		t.Fatal(err)
	}
	own := func(s *secret.Signer) Options {
		all, err := secret.Retired(keys)
		if err != nil {
			t.Fatal(err)
		}
		if all == nil {
			all = map[string]ed25519.PublicKey{}
		}
		all[s.KeyID()] = s.Public()
		return Options{Signer: s, Keys: all}
	}
	before, first := own(old), release(t, "1")
	if _, err := Publish(context.Background(), e, first, before); err != nil {
		t.Fatal(err)
	}
	fresh, err := secret.Rotate(keys)
	if err != nil {
		t.Fatal(err)
	}
	stranger := signer(t)
	var perr *Error
	for version, opt := range map[string]Options{
		"stranger":       {Signer: stranger, Keys: map[string]ed25519.PublicKey{stranger.KeyID(): stranger.Public()}},
		"old-not-known":  {Signer: fresh, Keys: map[string]ed25519.PublicKey{fresh.KeyID(): fresh.Public()}},
		"same-id":        {Signer: stranger, Keys: map[string]ed25519.PublicKey{old.KeyID(): stranger.Public()}},
		"no-keys-at-all": {Signer: fresh},
	} {
		if _, err := Publish(context.Background(), e, release(t, version), opt); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
			t.Errorf("%s: %v", version, err)
		}
	}
	if got := string(fetchURL(t, e.public()+"/ingot.pub")); got != old.MinisignPublic() {
		t.Errorf("ingot.pub was replaced by a stranger: %s", got)
	}
	for _, r := range []Release{release(t, "3"), first, release(t, "4")} { // first: repeated, signed by the old key
		if _, err := Publish(context.Background(), e, r, own(fresh)); err != nil {
			t.Fatalf("version %s after the rotation: %v", r.Version, err)
		}
	}
	if got := string(fetchURL(t, e.public()+"/ingot.pub")); got != fresh.MinisignPublic() {
		t.Errorf("ingot.pub is %s, want the new key", got)
	}
	if got := string(fetchURL(t, e.public()+"/keys/"+old.KeyID()+".pub")); got != old.MinisignPublic() {
		t.Errorf("the old key was not kept: %s", got)
	}
	for version, s := range map[string]*secret.Signer{"1": old, "3": fresh, "4": fresh} {
		base := e.public() + "/debian/12/arm64/" + version + "/SHA256SUMS"
		if !secret.VerifyMinisign(s.MinisignPublic(), fetchURL(t, base), fetchURL(t, base+".minisig")) {
			t.Errorf("version %s is not signed by key %s", version, s.KeyID())
		}
	}
	if _, err := Publish(context.Background(), e, release(t, "5"), before); !errors.As(err, &perr) || perr.Cause != "publish.conflict" {
		t.Errorf("the home as it was before: %v", err)
	}
}

// Bytes with the ETag of another write are read again, where ETags tell.
func TestTornRead(t *testing.T) {
	data, fits, other := []byte("index"), "6a992d5529f459a44fee58c733255e86", "00000000000000000000000000000000"
	for name, c := range map[string]struct {
		local bool
		etag  string
		want  bool
	}{"whole": {true, fits, false}, "torn": {true, other, true}, "elsewhere ETags are no MD5": {false, other, false}} {
		if got := (&client{endpoint: Endpoint{Local: c.local}}).torn(data, c.etag); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
