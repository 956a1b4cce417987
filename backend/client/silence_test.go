package client

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"ingot/backend/api"
	"ingot/backend/home"
)

// A client whose owner stops answering says so: an error for a request, once for a
// build that is followed, which goes on when the owner does. A request that takes
// long at an owner that answers others is waited for.
func TestSilence(t *testing.T) {
	defer func(a, l time.Duration) { pingAfter, pingLimit = a, l }(pingAfter, pingLimit)
	pingAfter, pingLimit = 20*time.Millisecond, 2*time.Second
	dir := t.TempDir()
	h := home.Home{Data: dir, Cache: dir, Config: filepath.Join(dir, "config")}
	l, err := api.Listen(api.OwnerSocket(h))
	if err != nil {
		t.Fatal(err)
	}
	silent, goOn := make(chan bool), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ping", func(w http.ResponseWriter, r *http.Request) {
		select {
		case on := <-silent:
			if on {
				<-r.Context().Done()
			}
		default:
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /v1/owner", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(200 * time.Millisecond) // an answer that takes its time
		_, _ = w.Write([]byte(`{"pid":1}`))
	})
	mux.HandleFunc("GET /v1/builds/{target}/{build}/events", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-goOn:
			_, _ = w.Write([]byte(`{"id":1,"kind":"build-finished","outcome":"passed"}` + "\n"))
		case <-r.Context().Done():
		}
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }() // ends with Close
	defer srv.Close()
	c := New(h)
	if info, err := c.Info(t.Context()); err != nil || info.PID != 1 {
		t.Errorf("a slow answer: %+v, %v", info, err)
	}
	var none *api.SilentOwnerError
	go func() { silent <- true }()
	if err := c.Follow(t.Context(), "t", "b", 0, func(api.Event) {}); !errors.As(err, &none) {
		t.Errorf("without Silent: %v", err)
	}
	told := 0
	c.Silent = func(error) bool {
		told++
		close(goOn)
		return true
	}
	go func() { silent <- true }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Follow(ctx, "t", "b", 0, func(api.Event) {}); err != nil || told != 1 {
		t.Errorf("with Silent: %v, told %d times", err, told)
	}
}
