package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/event"
	"ingot/backend/home"
	"ingot/backend/status"
)

// server serves an owner's socket.
type server struct {
	http  *http.Server
	ended chan error
}

// serve listens on the home's socket. The protocol is HTTP with JSON; streams
// are NDJSON, so that `curl --unix-socket` can follow a build.
func (o *Owner) serve() (*server, error) {
	l, err := api.Listen(api.OwnerSocket(o.home))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, r := range o.routes() {
		mux.HandleFunc(r.pattern, r.serve)
	}
	s := &server{http: &http.Server{Handler: o.counted(mux), ReadHeaderTimeout: 10 * time.Second}, ended: make(chan error, 1)}
	go func() { s.ended <- s.http.Serve(l) }()
	return s, nil
}

// route is one request that an owner answers.
type route struct {
	pattern string // in the syntax of http.ServeMux
	serve   http.HandlerFunc
}

// routes lists all requests that an owner answers; docs/owner.md describes
// them.
func (o *Owner) routes() []route {
	return []route{
		{"GET /v1/owner", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, o.info()) }},
		{"GET /v1/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{"POST /v1/owner/leave", func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, map[string]bool{"idle": o.leave()})
			_ = http.NewResponseController(w).Flush() // an owner that ends closes its connections, so the answer is sent first
			o.notifyChanged()
		}},
		{"GET /v1/status", o.serveStatus},
		{"POST /v1/builds", o.serveSubmit},
		{"DELETE /v1/builds/{build}", func(w http.ResponseWriter, r *http.Request) {
			if err := o.cancel(r.Context(), r.PathValue("build")); err != nil {
				refuse(w, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}},
		{"GET /v1/builds/{target}/{build}/events", o.serveEvents},
		{"GET /v1/events", o.serveBus},
	}
}

// answerTime is the time that requests in progress have when the owner ends.
const answerTime = 100 * time.Millisecond

// close ends all connections. The listener removes the socket's file.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = s.http.Shutdown(ctx) // streams are open until Close
	_ = s.http.Close()       // the clients see their connections end
	<-s.ended
}

// counted counts the requests in progress; the owner does not end while there
// are any.
func (o *Owner) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.clients++
		o.mu.Unlock()
		defer func() {
			o.mu.Lock()
			o.clients--
			o.mu.Unlock()
			o.notifyChanged()
		}()
		h.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client may have disconnected
}

func refuse(w http.ResponseWriter, err error) {
	code := http.StatusUnprocessableEntity
	var leaving *api.LeavingError
	var none *api.NoSuchBuildError
	switch {
	case errors.As(err, &leaving):
		code = http.StatusServiceUnavailable
	case errors.As(err, &none):
		code = http.StatusNotFound
	}
	reply(w, code, api.ProblemOf(err))
}

func (o *Owner) info() api.OwnerInfo {
	o.mu.Lock()
	info := api.OwnerInfo{PID: os.Getpid(), Version: api.Version, Started: o.started, Leaving: o.leaving, Env: api.Environment(os.Environ()), Builds: []api.ActiveBuild{}}
	for _, j := range o.open {
		info.Builds = append(info.Builds, api.ActiveBuild{ID: j.ID, Target: j.Target, Lane: string(j.Lane)})
	}
	o.mu.Unlock()
	slices.SortFunc(info.Builds, func(a, b api.ActiveBuild) int { return strings.Compare(a.ID, b.ID) })
	for i := range info.Builds {
		o.describe(&info.Builds[i])
	}
	return info
}

// describe reads from the build's journal when it started and which step it
// runs.
func (o *Owner) describe(a *api.ActiveBuild) {
	bd, err := o.ledger.Build(a.Target, a.ID)
	if err != nil {
		return
	}
	events, err := bd.Journal()
	if err != nil {
		return // it is shown as waiting
	}
	for _, e := range events {
		switch e.Kind {
		case event.BuildStarted:
			a.Started = e.At
		case event.StepStarted:
			a.Step = e.Step
		}
	}
}

func (o *Owner) serveSubmit(w http.ResponseWriter, r *http.Request) {
	var s api.Submission
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&s); err != nil {
		reply(w, http.StatusBadRequest, api.Problem{Error: "the submission is not valid JSON: " + err.Error(), Class: api.ClassInput.String()})
		return
	}
	id, err := o.submit(context.WithoutCancel(r.Context()), s)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusCreated, map[string]string{"build": id})
}

func (o *Owner) serveStatus(w http.ResponseWriter, r *http.Request) {
	b, err := o.backend("")
	if err != nil {
		refuse(w, err)
		return
	}
	rows, err := status.Rows(r.Context(), b, r.URL.Query()["target"]...)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, rows)
}

// serveEvents streams a build's events with ids above since: first those of its
// journal, then new ones, including progress, until the build ends. A client
// that reads too slowly is disconnected: its stream ends without the build's
// end, and it connects again with its last id.
func (o *Owner) serveEvents(w http.ResponseWriter, r *http.Request) {
	bd, err := o.ledger.Build(r.PathValue("target"), r.PathValue("build"))
	if err != nil {
		refuse(w, &api.NoSuchBuildError{ID: r.PathValue("build")})
		return
	}
	if _, err := os.Stat(bd.Dir); err != nil {
		refuse(w, &api.NoSuchBuildError{ID: bd.ID})
		return
	}
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64) // 0 means all events
	live, stop := o.bus.Follow()                                     // subscribed before the journal is read, so that no event is missed
	defer stop()
	past, err := bd.Journal()
	if err != nil {
		refuse(w, err)
		return
	}
	out := newStream(w)
	for _, e := range past {
		if e.ID > since {
			out.send(e)
			since = e.ID
		}
	}
	out.flush()
	if event.Ended(past) {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-live:
			switch {
			case !ok:
				return
			case e.Target != bd.Target || e.Build != bd.ID || e.ID != 0 && e.ID <= since:
				continue
			}
			since = max(since, e.ID)
			out.send(e)
			out.flush()
			if e.Kind == event.BuildFinished {
				return
			}
		}
	}
}

// serveBus streams a snapshot and then the events of all builds.
func (o *Owner) serveBus(w http.ResponseWriter, r *http.Request) {
	live, stop := o.bus.Follow()
	defer stop()
	b, err := o.backend("")
	if err != nil {
		refuse(w, err)
		return
	}
	rows, err := status.Rows(r.Context(), b)
	if err != nil {
		refuse(w, err)
		return
	}
	out := newStream(w)
	out.send(api.Snapshot{Owner: o.info(), Rows: rows})
	out.flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-live:
			if !ok {
				return
			}
			out.send(e)
			out.flush()
		}
	}
}

// stream writes NDJSON.
type stream struct {
	enc *json.Encoder
	ctl *http.ResponseController
}

func newStream(w http.ResponseWriter) stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return stream{json.NewEncoder(w), http.NewResponseController(w)}
}

// send and flush ignore errors: when the client disconnects, the request's
// context is cancelled.
func (s stream) send(v any) { _ = s.enc.Encode(v) }
func (s stream) flush()     { _ = s.ctl.Flush() }

// Serve runs the owner for the client that started it. It writes one line to w,
// which is api.OwnerReady when the owner is ready, or else a JSON object with
// the failure, and closes w.
func Serve(ctx context.Context, opt backend.Options, w io.WriteCloser) error {
	err := Run(ctx, opt, func() {
		fmt.Fprintln(w, api.OwnerReady)
		_ = w.Close() // the client may have disconnected
	})
	var held *home.HeldError
	switch {
	case errors.As(err, &held):
		_ = json.NewEncoder(w).Encode(struct{ Holder home.Holder }{held.Holder}) // the client may have disconnected
	case err != nil:
		_ = json.NewEncoder(w).Encode(api.ProblemOf(err))
	}
	return err
}
