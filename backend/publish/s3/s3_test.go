package s3

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/cause"
	"ingot/backend/publish"
	"ingot/backend/publish/publishtest"
	"ingot/backend/secret"
)

// store is a real S3 server for all tests of the package: the gateway allows one per
// process.
var store *LocalStore

var storeSecret, storeDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if dir := os.Getenv(publisherDir); dir != "" { // see TestUploadKilled
			return publishOnce(dir)
		}
		dir, err := os.MkdirTemp("", "ingot-publish-test-")
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer os.RemoveAll(dir)
		keys := secret.Files{Dir: filepath.Join(dir, "keys")}
		storeDir = filepath.Join(dir, "store")
		if store, err = OpenLocalStore(context.Background(), storeDir, 0, keys); err != nil {
			fmt.Println(err)
			return 1
		}
		defer store.Close()
		if os.Getenv(closesStore) != "" { // see TestCloseAtOnce
			return closeStore()
		}
		b, _ := keys.Get("store-secret")
		storeSecret = string(b)
		return m.Run()
	}())
}

// at returns the store's endpoint with a separate prefix for the test.
func at(t *testing.T) Endpoint {
	e := store.Endpoint()
	e.Prefix = strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-")
	return e
}

// Of two publishers of one version the second must not overwrite the first, even if
// both found no object. The disk takes several parts.
func TestCreateOnlyWithParts(t *testing.T) {
	e, a, b := at(t), publishtest.Release(t, "1"), publishtest.Release(t, "1")
	c, err := newClient(e)
	if err != nil {
		t.Fatal(err)
	}
	opt := minio.PutObjectOptions{}
	opt.SetMatchETagExcept("*")
	for i, r := range []publish.Release{a, b} {
		f, err := os.Open(r.Files[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := c.createParts(context.Background(), c.key("disk"), r.Files[0], f, publish.Published{Size: 20 << 20}, opt, nil); (i == 1) != isPrecondition(err) {
			t.Fatalf("upload %d: %v", i+1, err)
		}
	}
	got, err := c.ReadBack(context.Background(), "disk")
	want, _ := publish.DigestFile(a.Files[0])
	if err != nil || got.SHA256 != want.SHA256 {
		t.Errorf("the first upload was overwritten: %v", err)
	}
}

func TestFaults(t *testing.T) {
	s, r := publishtest.Signer(t), publishtest.Release(t, "1")
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
		_, err := Publish(context.Background(), e, r, publish.Options{Signer: s})
		var perr *publish.Error
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
		r.Out.Host = r.In.Host // the signature covers it
	}, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
}

func TestCredentials(t *testing.T) {
	keys := secret.Files{Dir: t.TempDir()}
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(k, "")
	}
	aws := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", aws)
	var perr *publish.Error
	if _, err := Credentials("", "", "https://s3.example.org", keys); !errors.As(err, &perr) || perr.Cause != "publish.credentials" {
		t.Fatalf("none: %v", err)
	}
	expect := func(kind, profile, want string) {
		t.Helper()
		c, err := Credentials(kind, profile, "https://s3.example.org", keys)
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
	var perr *publish.Error
	if _, err := OpenLocalStore(context.Background(), t.TempDir(), port, secret.Files{Dir: t.TempDir()}); !errors.As(err, &perr) || perr.Cause != "publish.port-in-use" {
		t.Errorf("taken port: %v", err)
	}
	// a port that cannot be opened for another reason is not reported as used
	if _, err := OpenLocalStore(context.Background(), t.TempDir(), 99999, secret.Files{Dir: t.TempDir()}); err == nil || errors.As(err, &perr) && perr.Cause == "publish.port-in-use" {
		t.Errorf("no port: %v", err)
	}
}

// If bytes and ETag are of different writes, the object is read again.
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

// The digest from the evidence is checked during the transfer: other bytes are refused
// whenever they were changed, and leave no object.
func TestChangedBeforeItLeaves(t *testing.T) {
	spoil := func(t *testing.T, file string, off int64) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, err = f.ReadAt(b, off)
		b[0] ^= 1
		if err == nil {
			_, err = f.WriteAt(b, off)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]func(t *testing.T, r *publish.Release, opt *publish.Options){
		"before": func(t *testing.T, r *publish.Release, _ *publish.Options) { spoil(t, r.Files[0].Path, 5) },
		"between two parts": func(t *testing.T, r *publish.Release, opt *publish.Options) {
			partsAtOnce = 1 // else both are read before the first has left
			t.Cleanup(func() { partsAtOnce = defaultParts })
			var once sync.Once
			opt.Progress = func(done, _ int64) {
				if done > 0 {
					once.Do(func() { spoil(t, r.Files[0].Path, 17<<20) })
				}
			}
		},
		"a log": func(t *testing.T, r *publish.Release, _ *publish.Options) {
			log := filepath.Join(t.TempDir(), "serial.log")
			if err := os.WriteFile(log, []byte("login:"), 0o600); err != nil {
				t.Fatal(err)
			}
			r.Files[1] = publish.File{Name: "evidence/serial.log", Path: log, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("panic")))}
		},
		"without a digest": func(_ *testing.T, r *publish.Release, _ *publish.Options) { r.Files[0].SHA256 = "" },
	} {
		t.Run(name, func(t *testing.T) {
			e, r := at(t), publishtest.Release(t, "1")
			opt := publish.Options{Signer: publishtest.Signer(t), Unfinished: t.TempDir()}
			c(t, &r, &opt)
			_, err := Publish(t.Context(), e, r, opt)
			want := "image.digest-changed"
			if name == "without a digest" {
				want = "publish.failed"
			}
			if cause.IDOf(err) != want {
				t.Fatalf("%v, want %s", err, want)
			}
			visible := []string{"index.json", "debian/12/arm64/latest.json", "debian/12/arm64/1/SHA256SUMS"}
			if name != "a log" {
				visible = append(visible, "debian/12/arm64/1/"+r.Files[0].Name)
			}
			for _, file := range visible {
				if resp, err := http.Get(e.public() + "/" + file); err != nil || resp.StatusCode != http.StatusNotFound {
					t.Errorf("%s can be read: %v", file, err)
				}
			}
			if notes, _ := os.ReadDir(opt.Unfinished); len(notes) > 0 {
				t.Errorf("an upload of it is kept to go on with: %v", notes)
			}
		})
	}
}

// The bytes of a small file are compared in memory before they are sent.
func TestChangedBetweenReadings(t *testing.T) {
	c, err := newClient(at(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := publish.File{Name: "f", Path: file}
	want, err := publish.DigestFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if made, err := c.Create(t.Context(), "f", f, want, nil); made || cause.IDOf(err) != "image.digest-changed" {
		t.Errorf("%v, %v", made, err)
	}
	if _, err := c.ReadBack(t.Context(), "f"); !isMissing(err) {
		t.Errorf("it is there: %v", err)
	}
}

// forgetful is the endpoint behind a proxy that reports every object as missing, as a
// replica with a delay may: only the condition of a write prevents an overwrite.
func forgetful(t *testing.T, e Endpoint) Endpoint {
	t.Helper()
	proxy := reverse(t, e.URL)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	e.URL, e.Local = s.URL, false
	return e
}

// An existing object is not written again, even if the look-up before the write did not
// find it.
func TestCreateOnlyInOnePart(t *testing.T) {
	c, err := newClient(forgetful(t, at(t)))
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"first", "second"} {
		f := publish.File{Name: "manifest.json", Data: []byte(text), MediaType: "text/plain"}
		want, err := publish.DigestFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := c.Create(t.Context(), "manifest.json", f, want, nil); err != nil || made != (i == 0) {
			t.Errorf("%s: made %v, %v", text, made, err)
		}
	}
	there, err := newClient(at(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, _, ok, err := there.Get(t.Context(), "manifest.json"); string(got) != "first" || !ok || err != nil {
		t.Errorf("the store holds %q, %v, %v", got, ok, err)
	}
}

func TestConform(t *testing.T) {
	publishtest.Conform(t, func(t *testing.T) publishtest.Destination {
		e := at(t)
		return publishtest.Destination{Publisher: Publisher{Endpoint: e}, Reader: func(dir string) publish.Reader {
			return publish.HTTPReader{Base: Publisher{Endpoint: e}.ID() + "/" + dir + "/"}
		}}
	})
}
