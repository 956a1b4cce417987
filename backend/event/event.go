// Package event defines the events of a build, the journal that stores them and
// the bus that distributes them.
//
// An Event is one line of a build's journal. A Journal is the file: NDJSON with
// increasing ids, to which whole lines are appended. A Bus sends events to
// followers; a follower that reads too slowly is dropped, and can catch up by
// reading the journal from its last id. Events report what happened. They prove
// nothing: that is the purpose of package evidence.
package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ingot/backend/limit"
)

// Kind is the kind of an event.
type Kind string

// Kinds of events. Progress and queued builds go to followers only, not to the
// journal.
const (
	BuildQueued   Kind = "build-queued"
	BuildStarted  Kind = "build-started"
	BuildFinished Kind = "build-finished"
	StepStarted   Kind = "step-started"
	StepSkipped   Kind = "step-skipped"
	StepFinished  Kind = "step-finished"
	Progress      Kind = "progress"
	Note          Kind = "note"
	EvidenceMade  Kind = "evidence"
)

// Outcome is how a step or build ended.
type Outcome string

// Outcomes. A finished step without evidence is not a success.
const (
	Passed    Outcome = "passed"
	Failed    Outcome = "failed"
	Cancelled Outcome = "cancelled"
)

// Event is one line of a journal. Times are in UTC.
type Event struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Kind     Kind      `json:"kind"`
	Target   string    `json:"target"`
	Build    string    `json:"build"`
	Step     string    `json:"step,omitempty"`
	Msg      string    `json:"msg,omitempty"`
	Outcome  Outcome   `json:"outcome,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Class    string    `json:"class,omitempty"` // of a build's failure; see package cause
	Fix      string    `json:"fix,omitempty"`
	Evidence string    `json:"evidence,omitempty"`
	Done     int64     `json:"done,omitempty"`  // progress: units completed
	Total    int64     `json:"total,omitempty"` // progress: all units, 0 if unknown
	ETA      int64     `json:"etaSeconds,omitempty"`
	WallMS   int64     `json:"wallMs,omitempty"`  // duration of a finished step, ms
	ChildMS  int64     `json:"childMs,omitempty"` // part of WallMS during which a child process ran, ms
	CPUMS    int64     `json:"cpuMs,omitempty"`   // processor time of those children, ms; 0 if the guest does not report it
	PID      int       `json:"pid,omitempty"`
	PIDStart string    `json:"pidStart,omitempty"`
	Origin   uint64    `json:"origin,omitempty"` // for an event of a worker: its sequence number in the team's stream
}

// Journal appends events of one build to a file. Its methods are safe for
// concurrent use.
type Journal struct {
	mu   sync.Mutex
	f    *os.File
	next int64
	base Event // target and build
	bus  *Bus
}

// OpenJournal opens or creates the journal at path. Events also go to bus,
// which may be nil. The caller closes the journal.
func OpenJournal(path, target, build string, bus *Bus) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	last := int64(0)
	old, err := Read(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if len(old) > 0 {
		last = old[len(old)-1].ID
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := cutTail(f, path); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), f.Close())
	}
	return &Journal{f: f, next: last + 1, base: Event{Target: target, Build: build}, bus: bus}, nil
}

// cutTail removes an incomplete last line that a crash left.
func cutTail(f *os.File, path string) error {
	data, err := limit.ReadFile(path, limit.Journal)
	if err != nil {
		return err
	}
	if end := bytes.LastIndexByte(data, '\n') + 1; end < len(data) {
		return f.Truncate(int64(end))
	}
	return nil
}

// Add writes e with the next id and the current time; an event with an Origin
// keeps its time. Progress goes to the bus only.
func (j *Journal) Add(e Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Target, e.Build = j.base.Target, j.base.Build
	if e.Origin == 0 || e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	if e.Kind == Progress {
		j.bus.Publish(e)
		return nil
	}
	e.ID = j.next
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if _, err := j.f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("journal %s: %w", j.f.Name(), err)
	}
	j.next++
	j.bus.Publish(e)
	if e.Kind == BuildFinished || e.Kind == StepFinished {
		return j.f.Sync()
	}
	return nil
}

// Close flushes and closes the file.
func (j *Journal) Close() error { return errors.Join(j.f.Sync(), j.f.Close()) }

// Read returns a journal's events. An incomplete last line, which a crash
// leaves, is ignored.
func Read(path string) ([]Event, error) {
	data, err := limit.ReadFile(path, limit.Journal)
	if err != nil {
		return nil, err
	}
	var events []Event
	r := bufio.NewReader(bytes.NewReader(data))
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil // a partial last line was never acknowledged
		}
		if err != nil {
			return events, fmt.Errorf("journal %s: %w", path, err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return events, fmt.Errorf("journal %s:%d: not an event: %w", path, n, err)
		}
		events = append(events, e)
	}
}
