package limit

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// GetRanges returns the file of a server with ranges and of one without; several
// requests run at the same time.
func TestGetRanges(t *testing.T) {
	whole := make([]byte, 5*rangeSize+7)
	_, _ = rand.Read(whole)
	var requests, now, most atomic.Int64
	var slow atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if slow.Load() {
			time.Sleep(50 * time.Millisecond)
		}
		data := whole
		switch r.URL.Path {
		case "/small":
			data = whole[:9]
		case "/edge":
			data = whole[:2*rangeSize]
		case "/empty":
			data = nil
		case "/none":
			r.Header.Del("Range")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer server.Close()
	for path, want := range map[string]struct {
		data     []byte
		requests int64
	}{"/whole": {whole, 6}, "/small": {whole[:9], 1}, "/edge": {whole[:2*rangeSize], 2}, "/empty": {nil, 2}, "/none": {whole, 1}} {
		requests.Store(0)
		got, err := getAll(t.Context(), server.URL+path, 0, int64(len(whole)))
		if n := requests.Load(); err != nil || !bytes.Equal(got, want.data) || n > want.requests {
			t.Errorf("%s: %d of %d bytes in %d requests, %v", path, len(got), len(want.data), n, err)
		}
	}
	for _, path := range []string{"/whole", "/none"} { // the rest of a file
		for _, from := range []int64{1, rangeSize, 2*rangeSize + 3, int64(len(whole)) - 1} {
			if got, err := getAll(t.Context(), server.URL+path, from, int64(len(whole))); err != nil || !bytes.Equal(got, whole[from:]) {
				t.Errorf("%s from %d: %d bytes, %v", path, from, len(got), err)
			}
		}
	}
	slow.Store(true)
	if _, err := getAll(t.Context(), server.URL+"/whole", 0, int64(len(whole))); err != nil || most.Load() < 3 {
		t.Errorf("%d requests at a time, %v", most.Load(), err)
	}
	var odd *AnswerError
	if _, err := getAll(t.Context(), server.URL+"/whole", 0, int64(len(whole))-1); !errors.As(err, &odd) || !odd.TooLong {
		t.Errorf("a byte more than its bound: %v", err)
	}
}

func getAll(ctx context.Context, url string, from, max int64) ([]byte, error) {
	b, err := GetRanges(ctx, Client(), url, from, max, Stall)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(b)
	return data, errors.Join(err, b.Close())
}

// Ranges that a server invents, or does not send, are errors; so is the end of the
// context in the middle.
func TestGetRangesRefuses(t *testing.T) {
	whole := make([]byte, 3*rangeSize)
	// serve answers the first request with n bytes that are told to be a range, and the
	// others by later
	serve := func(told string, n int, later http.HandlerFunc) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
				later(w, r)
				return
			}
			w.Header().Set("Content-Range", told)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(whole[:n])
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	good206 := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(whole))
	}
	var failures atomic.Int64
	const good = "bytes 0-4194303/12582912"
	for _, c := range []struct {
		name, told, want string
		later            http.HandlerFunc
	}{
		{"another range", "bytes 1-4194304/12582912", "not the one that was asked for", good206},
		{"no range", "", "not the one that was asked for", good206},
		{"a file that ends before it begins", "bytes 0-4194303/-5", "not the one that was asked for", good206},
		{"too large", "bytes 0-4194303/12582913", "larger than its bound", good206},
		{"a short range", "bytes 0-4194303/12582912", "ended after 4194296 of 4194304 bytes", good206},
		{"then a short range", good, "ended after 5 of 4194304 bytes", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "=", " ", 1)+"/12582912")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(whole[:5])
			_ = http.NewResponseController(w).Flush() // no length is told
		}},
		{"then a busy server, three times", good, "503 Service Unavailable for a part", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{"then a busy server, twice", good, "", func(w http.ResponseWriter, r *http.Request) {
			if failures.Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			good206(w, r)
		}},
		{"then the whole", good, "200 OK for a part", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(whole[:5]) }},
		{"then nothing", good, "404 Not Found for a part", http.NotFound},
		{"then another file", good, "has 12582911 while it is read", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(whole[:3*rangeSize-1]))
		}},
		{"then silence", good, "sent nothing for 500ms", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "=", " ", 1)+"/12582912")
			w.Header().Set("Content-Length", "4194304")
			w.WriteHeader(http.StatusPartialContent)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
	} {
		n, stall := rangeSize, Stall
		switch c.name {
		case "a short range":
			n -= 8
		case "then silence":
			stall = 500 * time.Millisecond
		}
		b, err := GetRanges(t.Context(), Client(), serve(c.told, n, c.later), 0, int64(len(whole)), stall)
		if err == nil {
			_, err = io.Copy(io.Discard, b)
			_ = b.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	waits := serve(good, rangeSize, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if got, err := getAll(ctx, waits, 0, int64(len(whole))); !errors.Is(err, context.Canceled) || len(got) > rangeSize {
		t.Errorf("ended in the middle: %d bytes, %v", len(got), err)
	}
}
