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
	"strings"
	"sync/atomic"
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

// A silent mirror is reported long before the download is aborted, one that sends is not.
func TestSilent(t *testing.T) {
	defer func(l, a, d time.Duration) { stallLimit, silentAfter, retryDelay = l, a, d }(stallLimit, silentAfter, retryDelay)
	stallLimit, silentAfter, retryDelay = time.Minute, 500*time.Millisecond, time.Millisecond
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-over
			return
		}
		for _, c := range "body" { // slow, and not silent
			_, _ = w.Write([]byte(string(c)))
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}))
	defer srv.Close()
	defer close(over)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var reports atomic.Int32
	c := Cache{Dir: t.TempDir(), Silent: func(host string) {
		if strings.HasPrefix(host, "127.0.0.1:") {
			reports.Add(1)
		}
		cancel()
	}}
	if _, err := c.Get(t.Context(), input("body", srv.URL+"/good")); err != nil || reports.Load() != 0 {
		t.Errorf("slow: %v, %d reports", err, reports.Load())
	}
	if _, err := c.Get(ctx, input("else", srv.URL+"/silent")); err == nil || reports.Load() == 0 {
		t.Errorf("silent: %v, %d reports", err, reports.Load())
	}
}

// Whatever a file's holes are, its digest is that of the bytes that it reads as.
func TestDigestOfHoles(t *testing.T) {
	type piece struct {
		at   int64
		text string
	}
	for name, c := range map[string]struct {
		size   int64
		pieces []piece
	}{
		"empty":              {0, nil},
		"a hole":             {5<<20 + 1, nil},
		"no hole":            {11, []piece{{0, "hello world"}}},
		"hole first":         {3 << 20, []piece{{2 << 20, strings.Repeat("x", 1<<20)}}},
		"hole last":          {4 << 20, []piece{{0, "x"}}},
		"holes between":      {9<<20 + 5, []piece{{1 << 20, "a"}, {3<<20 + 7, "b"}, {9 << 20, "12345"}}},
		"zeros written down": {2 << 20, []piece{{0, strings.Repeat("\x00", 1<<20)}, {1<<20 + 9, "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			f, err := os.Create(path)
			if err == nil {
				err = f.Truncate(c.size)
			}
			for _, p := range c.pieces {
				if err == nil {
					_, err = f.WriteAt([]byte(p.text), p.at)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			all, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(all)
			if got, err := Digest(path); err != nil || got != hex.EncodeToString(sum[:]) {
				t.Errorf("%s, %v; want %x", got, err, sum)
			}
		})
	}
	// what is no regular file has no size to go by
	if _, err := os.Stat("/dev/null"); err == nil {
		if got, err := Digest("/dev/null"); err != nil || got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
			t.Errorf("/dev/null: %s, %v", got, err)
		}
	}
}

// A digest of a large sparse file can be cancelled, and reports how far it came.
func TestDigestIsCancelled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sparse")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 1<<40)); err != nil {
		t.Skipf("no sparse file of 1 TiB here: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	began, seen := time.Now(), int64(0)
	_, err := DigestOf(ctx, file, func(done, total int64) {
		if seen = done; total != 1<<40 || done > 1<<20 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || seen == 0 || time.Since(began) > time.Minute {
		t.Errorf("%v after %s, %d bytes", err, time.Since(began), seen)
	}
}
