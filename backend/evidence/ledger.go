package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/limit"
)

// Ledger is the folder of all builds: <dir>/<target>/<build>/.
type Ledger struct{ Dir string }

// Build is one build's folder in the ledger.
type Build struct {
	Target, ID string
	Dir        string
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Build returns the folder of one build; it need not exist.
func (l Ledger) Build(target, id string) (Build, error) {
	if !namePattern.MatchString(target) || !namePattern.MatchString(id) {
		return Build{}, fmt.Errorf("ledger: %q/%q is not a valid target and build name", target, id)
	}
	return Build{Target: target, ID: id, Dir: filepath.Join(l.Dir, target, id)}, nil
}

// JournalPath, LogPath and evidencePath return the paths of the build's
// journal, of one of its logs, and of a document.
func (b Build) JournalPath() string           { return filepath.Join(b.Dir, "journal.ndjson") }
func (b Build) LogPath(name string) string    { return filepath.Join(b.Dir, "logs", name) }
func (b Build) evidencePath(id string) string { return filepath.Join(b.Dir, "evidence", id+".json") }

func (b Build) ledger() Ledger { return Ledger{Dir: filepath.Dir(filepath.Dir(b.Dir))} }

// Evidence reads all documents of the build in the order in which they were
// recorded. Documents that the target's head lists and that are missing are among
// them, without content; see Document.Incomplete.
func (b Build) Evidence(ctx context.Context, keys Keys) ([]Document, error) {
	v, err := b.ledger().view(ctx, b.Target, keys)
	if err != nil {
		return nil, err
	}
	return v.evidenceOf(ctx, b, anyKind)
}

func anyKind(Kind) bool { return true }

// in compares a document with the build in whose folder it is. A statement is valid
// only there: a copy, or a link, in the folder of another target or build is not
// trusted.
func (d Document) in(b Build) Document {
	if d.Trust == Tampered || d.Head.Target == b.Target && d.Head.Build == b.ID {
		return d
	}
	return d.distrust(CauseMisplaced, fmt.Sprintf("it is about target %q, build %q, and is in the folder of target %s, build %s: remove it from there", d.Head.Target, d.Head.Build, b.Target, b.ID))
}

// fillTampered sets target, build and time of a tampered document from its
// file, since its content cannot be trusted.
func (d *Document) fillTampered(b Build, e fs.DirEntry) {
	kind, _ := kindOfID(d.ID)
	d.Head.Kind, d.Head.Target, d.Head.Build = kind, b.Target, b.ID
	if info, err := e.Info(); err == nil {
		d.Head.At = info.ModTime().UTC()
	}
}

// Builds lists a target's builds that have a folder, oldest first: in the order of
// the target's head, and without one by their ids, which sort by time.
func (l Ledger) Builds(target string) ([]Build, error) {
	builds, err := l.folders(target)
	if err != nil || len(builds) == 0 {
		return nil, err
	}
	h, err := l.readHead(context.Background(), target, nil)
	if err != nil {
		return builds, nil // its documents are not trusted, see view
	}
	return h.ordered(builds), nil
}

// folders lists the build folders of a target by name.
func (l Ledger) folders(target string) ([]Build, error) {
	entries, err := os.ReadDir(filepath.Join(l.Dir, target))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var builds []Build
	for _, e := range entries {
		if b, err := l.Build(target, e.Name()); err == nil && e.IsDir() {
			builds = append(builds, b)
		}
	}
	return builds, nil
}

// Targets lists the targets that have builds.
func (l Ledger) Targets() ([]string, error) {
	entries, err := os.ReadDir(l.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Journal reads a build's events; a build without a journal has no events.
func (b Build) Journal() ([]event.Event, error) {
	events, err := event.Read(b.JournalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return events, err
}

// NotFoundError reports that no document has the id.
type NotFoundError struct{ ID string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no evidence %q in the ledger: `ingot status` lists the ids", e.ID)
}

// ErrorClass sorts the error; see package cause.
func (*NotFoundError) ErrorClass() cause.Class { return cause.Input }

// Find returns the document with the id, or with an id that starts with it if
// there is only one.
func (l Ledger) Find(ctx context.Context, keys Keys, id string) (Document, error) {
	if !namePattern.MatchString(id) {
		return Document{}, &NotFoundError{id}
	}
	paths, err := filepath.Glob(filepath.Join(l.Dir, "*", "*", "evidence", id+"*.json"))
	if err != nil || len(paths) == 0 {
		return Document{}, &NotFoundError{id}
	}
	first := filepath.Base(paths[0])
	for _, p := range paths[1:] {
		if filepath.Base(p) != first {
			return Document{}, fmt.Errorf("evidence id %q is ambiguous: it matches %s and %s", id, strings.TrimSuffix(first, ".json"), strings.TrimSuffix(filepath.Base(p), ".json"))
		}
	}
	data, err := limit.ReadFile(paths[0], limit.Document)
	if err != nil {
		return Document{}, fmt.Errorf("ledger: %w", err)
	}
	folder := filepath.Dir(filepath.Dir(paths[0]))
	b := Build{Target: filepath.Base(filepath.Dir(folder)), ID: filepath.Base(folder), Dir: folder}
	v, err := b.ledger().view(ctx, b.Target, keys)
	if err != nil {
		return Document{}, err
	}
	d := v.vouch(b, Open(ctx, data, keys, strings.TrimSuffix(first, ".json")).in(b))
	d.Path = paths[0]
	return d, nil
}
