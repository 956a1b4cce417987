package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func input(body string, urls ...string) Input {
	sum := sha256.Sum256([]byte(body))
	return Input{Name: "thing.deb", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body)), URLs: urls}
}

func TestGet(t *testing.T) {
	hits := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write([]byte("body"))
		case "/evil":
			_, _ = w.Write([]byte("evil"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	c := Cache{Dir: t.TempDir()}
	in := input("body", srv.URL+"/old", srv.URL+"/good")
	p, err := c.Get(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	before := hits
	if _, err := c.Get(context.Background(), in); err != nil || hits != before {
		t.Fatalf("second Get: err %v, %d requests, want none", err, hits-before)
	}
	// a file in the cache whose bytes changed is fetched again, not used
	if err := os.WriteFile(p, []byte("bent"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(context.Background(), in); err != nil || hits == before {
		t.Fatalf("changed cache file: err %v, hits %d", err, hits)
	}

	var gone *GoneError
	if _, err := c.Get(context.Background(), input("else", srv.URL+"/x", srv.URL+"/y")); !errors.As(err, &gone) {
		t.Errorf("missing everywhere: %v, want GoneError", err)
	}
	var dig *DigestError
	if _, err := c.Get(context.Background(), input("good", srv.URL+"/evil")); !errors.As(err, &dig) {
		t.Errorf("other bytes: %v, want DigestError", err)
	}
	left, _ := filepath.Glob(filepath.Join(c.Dir, ".tmp-*"))
	if len(left) > 0 {
		t.Errorf("half files left: %v", left)
	}
}

func TestUnreachable(t *testing.T) {
	retryDelay = 0
	srv := httptest.NewServer(nil)
	srv.Close()
	var un *UnreachableError
	if _, err := (Cache{Dir: t.TempDir()}).Get(context.Background(), input("b", srv.URL)); !errors.As(err, &un) {
		t.Errorf("%v, want UnreachableError", err)
	}
}

// A mirror that stops in the middle is left for the next one; without another,
// what is said is that it stopped.
func TestStalled(t *testing.T) {
	defer func(l, d time.Duration) { stallLimit, retryDelay = l, d }(stallLimit, retryDelay)
	stallLimit, retryDelay = 50*time.Millisecond, time.Millisecond
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write([]byte("body"))
		case "/half":
			_, _ = w.Write([]byte("bo"))
			w.(http.Flusher).Flush()
			<-over
		default:
			<-over // takes the connection, and no more
		}
	}))
	defer srv.Close()
	defer close(over)
	for _, stuck := range []string{"/half", "/silent"} {
		c := Cache{Dir: t.TempDir()}
		if _, err := c.Get(context.Background(), input("body", srv.URL+stuck, srv.URL+"/good")); err != nil {
			t.Errorf("%s: %v", stuck, err)
		}
		var down *UnreachableError
		if _, err := c.Get(context.Background(), input("else", srv.URL+stuck)); !errors.As(err, &down) || !errors.Is(down.Err, errStalled) {
			t.Errorf("%s alone: %v", stuck, err)
		}
	}
}
