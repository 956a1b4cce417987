package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"ingot/backend/publish"
	"ingot/backend/secret"
)

// A server on the store's port is the store only if it serves the store's folder. The
// store's id, which anybody can read, is not enough.
func TestStoreIsKnownByChallenge(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "store"), secret.Files{Dir: t.TempDir()}
	cfg, err := loadStore(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, serve := range map[string]http.HandlerFunc{
		"gives the id":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, cfg.ID) },
		"gives the name":  func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, filepath.Base(r.URL.Path)) },
		"is another":      http.NotFound,
		"is slow, silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(serve)
			defer srv.Close()
			u, err := url.Parse(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			port, err := strconv.Atoi(u.Port())
			if err != nil {
				t.Fatal(err)
			}
			var perr *publish.Error
			if s, err := OpenLocalStore(t.Context(), dir, port, keys); !errors.As(err, &perr) || perr.Cause != "publish.port-in-use" {
				t.Errorf("it was taken for the store: %+v, %v", s, err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "objects", localBucket, challengePrefix+"*")); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	_ = l.Close()
	if got, err := challenge(t.Context(), url, dir); got != silent || err != nil {
		t.Errorf("nothing listens: %d, %v", got, err)
	}
	if got, err := challenge(t.Context(), store.Endpoint().URL, storeDir); got != servesFolder || err != nil {
		t.Errorf("the store: %d, %v", got, err)
	}
	if again, err := OpenLocalStore(t.Context(), storeDir, 0, keys); err == nil && again.Served() {
		t.Error("the store was started twice")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := challenge(gone, store.Endpoint().URL, storeDir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
