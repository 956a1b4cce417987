package verify

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ingot/backend/hometest"
)

// A release is valid only at the path that its publisher signed: a copy at the path of
// a newer version, or of another target, is refused.
func TestVerifyCopiedRelease(t *testing.T) {
	b := hometest.Open(t)
	files := map[string]string{"d.qcow2": "bytes"}
	dir := folderOf(t, b.Signer, files, proofOf(t, b.Signer, "d.qcow2", "bytes"))
	root := strings.TrimSuffix(dir, filepath.FromSlash(releasePath))
	for path, want := range map[string]string{releasePath: "", "debian/12/arm64/20270101-0000": "evidence.misplaced", "debian/13/amd64/20260101-0000": "evidence.misplaced", "prefix/" + releasePath: ""} {
		if path != releasePath {
			if err := os.CopyFS(filepath.Join(root, filepath.FromSlash(path)), os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
		}
		srv := httptest.NewServer(http.FileServer(http.Dir(root)))
		for _, subject := range []string{srv.URL + "/" + path + "/", filepath.Join(root, filepath.FromSlash(path))} {
			if _, cause := verify(t, b, Options{Subject: subject}); cause != want {
				t.Errorf("%s: cause %q, want %q", subject, cause, want)
			}
		}
		srv.Close()
	}
}

// Whatever a server sends in place of a file, a verification ends with an error within
// bounded time and memory.
func TestVerifyHostileServer(t *testing.T) {
	b := hometest.Open(t)
	files := map[string]string{"d.qcow2": "bytes"}
	good := http.FileServer(http.Dir(strings.TrimSuffix(folderOf(t, b.Signer, files, proofOf(t, b.Signer, "d.qcow2", "bytes")), filepath.FromSlash(releasePath))))
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 1 << 10 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	attacks := map[string]http.HandlerFunc{
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for block := make([]byte, 1<<16); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "by")
		},
	}
	for name, attack := range attacks {
		for _, file := range []string{"SHA256SUMS", "SHA256SUMS.minisig", "manifest.json", "d.qcow2"} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/"+file) {
					attack(w, r)
					return
				}
				good.ServeHTTP(w, r)
			}))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			_, cause := verify(t, b, Options{Subject: srv.URL + "/" + releasePath + "/"})
			runtime.ReadMemStats(&after)
			if took := time.Since(began); cause == "" || took > time.Minute {
				t.Errorf("%s as %s: cause %q after %s", name, file, cause, took)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
				t.Errorf("%s as %s: %d bytes were taken", name, file, grown)
			}
			srv.Close()
		}
	}
	srv := httptest.NewServer(good)
	defer srv.Close()
	if _, cause := verify(t, b, Options{Subject: srv.URL + "/" + releasePath + "/"}); cause != "" {
		t.Errorf("without an attack: cause %q", cause)
	}
}
