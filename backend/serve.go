package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingot/backend/event"
)

// OwnerInfo is what an owner says of itself.
type OwnerInfo struct {
	PID     int               `json:"pid"`
	Version string            `json:"version"`
	Started time.Time         `json:"started"`
	Builds  []ActiveBuild     `json:"builds"`  // without an end
	Leaving bool              `json:"leaving"` // takes no more work
	Env     map[string]string `json:"env"`     // digests of the settings that it was started with
}

// ActiveBuild is a build that runs or waits.
type ActiveBuild struct {
	ID      string    `json:"id"`
	Target  string    `json:"target"`
	Lane    string    `json:"lane"`
	Started time.Time `json:"started,omitzero"` // zero while it waits
	Step    string    `json:"step,omitempty"`   // begun last
}

// server is an owner's socket.
type server struct {
	http  *http.Server
	ended chan error
}

// serve listens on the home's socket. HTTP with JSON; streams are NDJSON, so
// that curl --unix-socket can follow a build.
func (o *Owner) serve() (*server, error) {
	l, err := listen(socketPath(o.home))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/owner", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, o.info()) })
	mux.HandleFunc("POST /v1/owner/leave", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]bool{"idle": o.leave()})
		_ = http.NewResponseController(w).Flush() // said before it goes: an owner that leaves ends its connections
		o.touch()
	})
	mux.HandleFunc("GET /v1/status", o.serveStatus)
	mux.HandleFunc("POST /v1/builds", o.serveSubmit)
	mux.HandleFunc("DELETE /v1/builds/{build}", func(w http.ResponseWriter, r *http.Request) {
		if err := o.cancel(r.Context(), r.PathValue("build")); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /v1/builds/{target}/{build}/events", o.serveEvents)
	mux.HandleFunc("GET /v1/events", o.serveBus)
	s := &server{http: &http.Server{Handler: o.counted(mux), ReadHeaderTimeout: 10 * time.Second}, ended: make(chan error, 1)}
	go func() { s.ended <- s.http.Serve(l) }()
	return s, nil
}

// answerTime is what answers under way have left when an owner goes.
const answerTime = 100 * time.Millisecond

// close ends all connections; the socket's file goes with the listener.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = s.http.Shutdown(ctx) // streams do not end by themselves
	_ = s.http.Close()       // their clients are told by the end of their connections
	<-s.ended
}

// counted keeps count of requests under way: while there are any, the owner
// stays.
func (o *Owner) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.clients++
		o.mu.Unlock()
		defer func() {
			o.mu.Lock()
			o.clients--
			o.mu.Unlock()
			o.touch()
		}()
		h.ServeHTTP(w, r)
	})
}

// problem is an error on its way to a client.
type problem struct {
	Error string `json:"error"`
	Class string `json:"class,omitempty"`
	Cause string `json:"cause,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

func problemOf(err error) problem {
	p := problem{Error: err.Error(), Class: ClassOf(err).String()}
	p.Cause, p.Fix = Advice(err)
	return p
}

// err is the problem as its client's error.
func (p problem) err() error {
	return &RemoteError{Msg: p.Error, Class: classNamed(p.Class), Cause: p.Cause, Fix: p.Fix}
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func refuse(w http.ResponseWriter, err error) {
	code := http.StatusUnprocessableEntity
	var leaving *LeavingError
	var none *NoSuchBuildError
	switch {
	case errors.As(err, &leaving):
		code = http.StatusServiceUnavailable
	case errors.As(err, &none):
		code = http.StatusNotFound
	}
	reply(w, code, problemOf(err))
}

func (o *Owner) info() OwnerInfo {
	o.mu.Lock()
	info := OwnerInfo{PID: os.Getpid(), Version: Version, Started: o.started, Leaving: o.leaving, Env: environment(os.Environ()), Builds: []ActiveBuild{}}
	for _, j := range o.open {
		info.Builds = append(info.Builds, ActiveBuild{ID: j.ID, Target: j.Target, Lane: string(j.Lane)})
	}
	o.mu.Unlock()
	slices.SortFunc(info.Builds, func(a, b ActiveBuild) int { return strings.Compare(a.ID, b.ID) })
	for i := range info.Builds {
		o.describe(&info.Builds[i])
	}
	return info
}

// describe reads in its journal how far a build is.
func (o *Owner) describe(a *ActiveBuild) {
	bd, err := o.ledger.Build(a.Target, a.ID)
	if err != nil {
		return
	}
	events, err := bd.Journal()
	if err != nil {
		return // it shows as waiting
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
	var s Submission
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&s); err != nil {
		reply(w, http.StatusBadRequest, problem{Error: "the submission is no JSON: " + err.Error(), Class: ClassInput.String()})
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
	rows, err := b.Status(r.Context(), r.URL.Query()["target"]...)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, rows)
}

// serveEvents streams a build's events with ids above since – first those of
// its journal, then those to come, progress among them – until the build ends.
// A follower that falls behind is dropped: its stream ends without the build's
// end, and it comes back with its last id.
func (o *Owner) serveEvents(w http.ResponseWriter, r *http.Request) {
	bd, err := o.ledger.Build(r.PathValue("target"), r.PathValue("build"))
	if err != nil {
		refuse(w, &NoSuchBuildError{r.PathValue("build")})
		return
	}
	if _, err := os.Stat(bd.Dir); err != nil {
		refuse(w, &NoSuchBuildError{bd.ID})
		return
	}
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64) // 0 is the beginning
	live, stop := o.bus.Follow()                                     // before the journal is read: nothing falls between
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

// Snapshot is the first line of the stream of all events: what holds now.
type Snapshot struct {
	Owner OwnerInfo `json:"owner"`
	Rows  []Row     `json:"rows"`
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
	rows, err := b.Status(r.Context())
	if err != nil {
		refuse(w, err)
		return
	}
	out := newStream(w)
	out.send(Snapshot{o.info(), rows})
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

// send and flush ignore a client that is gone: the request's context ends.
func (s stream) send(v any) { _ = s.enc.Encode(v) }
func (s stream) flush()     { _ = s.ctl.Flush() }

// environment is the settings that a build takes from the environment, by the
// digests of their values, so that an owner and a client can compare theirs.
func environment(environ []string) map[string]string {
	out := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		matters := strings.HasPrefix(name, "INGOT_") && !strings.HasPrefix(name, "INGOT_OWNER_") && !strings.HasPrefix(name, "INGOT_E2E") ||
			strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "MINIO_") || strings.HasPrefix(name, "MC_HOST_") || name == "LIMA_HOME" || strings.HasSuffix(upper, "_PROXY")
		if matters && value != "" {
			sum := sha256.Sum256([]byte("ingot-env\x00" + value))
			out[name] = hex.EncodeToString(sum[:8])
		}
	}
	return out
}
