package limit

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Get stays within its bounds, whatever the server sends.
func TestGet(t *testing.T) {
	hang := make(chan struct{})
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.CopyN(z, zeros{}, 64<<20)
	_ = z.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding: %q", got)
		}
		_, _ = io.WriteString(w, "1234")
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345") })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	mux.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "12")
		w.(http.Flusher).Flush() //nolint:errcheck // httptest's writer is a Flusher
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/gone", http.NotFound)
	mux.HandleFunc("/far", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://127.0.0.1:1/x", http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(hang)
	for path, want := range map[string]string{
		"/good": "", "/long": "larger than its bound of 4 bytes", "/endless": "larger than its bound of 4 bytes", "/bomb": "larger than its bound of 4 bytes", "/silent": "sent nothing for 500ms",
		"/gone": "404 Not Found", "/far": "from http to https", "/round": "more than 5 redirects",
	} {
		began := time.Now()
		b, err := Get(t.Context(), Client(), server.URL+path, 4, 500*time.Millisecond)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(b)
			_ = b.Close()
		}
		switch {
		case time.Since(began) > time.Minute:
			t.Errorf("%s: took %s", path, time.Since(began))
		case want == "" && (err != nil || string(text) != "1234"):
			t.Errorf("%s: %q, %v", path, text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || len(text) > 4):
			t.Errorf("%s: %d bytes, %v; want %q", path, len(text), err, want)
		}
	}
	if tr, ok := Client().Transport.(*http.Transport); !ok || tr.ResponseHeaderTimeout != 0 || tr.TLSHandshakeTimeout <= Answer {
		t.Error("the client has a limit of its own, which races with Answer")
	}
	if _, err := Get(t.Context(), Client(), "http://127.0.0.1:1/", 4, Stall); err == nil || errors.As(err, new(*AnswerError)) {
		t.Errorf("a server that is not there: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Through a Transport a server that sends nothing, or stops, is told once it is late,
// and at once to a client that tries again; a long upload is not.
func TestTransport(t *testing.T) {
	hang := make(chan struct{})
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/slow":
			time.Sleep(time.Second) // an answer that takes its time
		case "/stops":
			_, _ = io.WriteString(w, "12")
			_ = http.NewResponseController(w).Flush()
			fallthrough
		case "/silent":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "1234")
	}))
	defer server.Close()
	defer close(hang)
	for path, want := range map[string]string{"/good": "", "/stops": "sent nothing for 500ms", "/silent": "sent nothing for 500ms", "/slow": ""} {
		client := &http.Client{Transport: &Transport{Base: http.DefaultTransport, Answer: 500 * time.Millisecond, Stall: 500 * time.Millisecond}}
		var body io.Reader
		if path == "/slow" {
			body = strings.NewReader(strings.Repeat("x", Upload+1))
		}
		asked.Store(0)
		for try := range 2 {
			began := time.Now()
			text, err := request(t, client, server.URL+path+"?X-Amz-Signature=secret", body)
			switch {
			case time.Since(began) > time.Minute:
				t.Errorf("%s: took %s", path, time.Since(began))
			case want == "" && (err != nil || text != "1234"):
				t.Errorf("%s: %q, %v", path, text, err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("%s: %q, %v", path, text, err)
			}
			var odd *AnswerError
			if errors.As(err, &odd) && strings.Contains(odd.Error(), "secret") {
				t.Errorf("%s: %v has the query", path, odd)
			}
			if n := asked.Load(); want != "" && n != 1 {
				t.Errorf("%s: asked %d times after try %d", path, n, try+1)
			}
			if body != nil {
				break
			}
		}
	}
}

// A server to which no connection comes about is not blamed for an answer.
func TestTransportNoConnection(t *testing.T) {
	client := &http.Client{Transport: &Transport{Base: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, Answer: 100 * time.Millisecond}}
	if _, err := request(t, client, "http://127.0.0.1:1/", nil); err == nil || !strings.Contains(err.Error(), "did not accept a connection within 100ms") {
		t.Error(err)
	}
}

func request(t *testing.T, client *http.Client, url string, body io.Reader) (string, error) {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPut
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
