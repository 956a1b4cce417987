package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"ingot/backend/event"
	"ingot/backend/home"
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
		return Build{}, fmt.Errorf("ledger: %q/%q is no target and build name", target, id)
	}
	return Build{Target: target, ID: id, Dir: filepath.Join(l.Dir, target, id)}, nil
}

// JournalPath, LogPath: where a build keeps its journal and its logs.
func (b Build) JournalPath() string           { return filepath.Join(b.Dir, "journal.ndjson") }
func (b Build) LogPath(name string) string    { return filepath.Join(b.Dir, "logs", name) }
func (b Build) evidencePath(id string) string { return filepath.Join(b.Dir, "evidence", id+".json") }

// Add writes the document; an existing one with the same id is the same bytes
// and is left alone.
func (b Build) Add(d Document) (Document, error) {
	d.Path = b.evidencePath(d.ID)
	if _, err := os.Stat(d.Path); err == nil {
		return d, nil
	}
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o700); err != nil {
		return d, fmt.Errorf("ledger: %w", err)
	}
	if err := home.WriteFileAtomic(d.Path, d.Envelope, 0o600); err != nil {
		return d, fmt.Errorf("ledger: keep %s: %w", d.ID, err)
	}
	return d, nil
}

// Evidence reads all documents of the build in the order they were made.
func (b Build) Evidence(ctx context.Context, keys Keys) ([]Document, error) {
	return b.EvidenceOf(ctx, keys, func(Kind) bool { return true })
}

// EvidenceOf reads those documents whose kind, as their file is named, is
// wanted.
func (b Build) EvidenceOf(ctx context.Context, keys Keys, wanted func(Kind) bool) ([]Document, error) {
	entries, err := os.ReadDir(filepath.Join(b.Dir, "evidence"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var docs []Document
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		if kind, known := kindOfID(id); known && !wanted(kind) {
			continue
		}
		path := b.evidencePath(id)
		data, err := os.ReadFile(path)
		d := Open(ctx, data, keys, id)
		if err != nil {
			d = Document{ID: id}.distrust(CauseUnreadable, err.Error())
		}
		d.Path = path
		if d.Trust == Tampered {
			d.settle(b, e)
		}
		docs = append(docs, d)
	}
	sort.SliceStable(docs, func(i, j int) bool { return docs[i].Head.At.Before(docs[j].Head.At) })
	return docs, nil
}

// Newest reads, of each kind, the documents of the newest build that has any,
// oldest first; and of older builds the artifacts until there is a believable
// bootable one, the images until the one is found that it was made of, and the
// proofs until one is found that is about it. That is all that a status looks
// at, and much less than all there is.
func (l Ledger) Newest(ctx context.Context, target string, keys Keys) ([]Document, error) {
	builds, err := l.Builds(target)
	if err != nil {
		return nil, err
	}
	return NewestOf(ctx, builds, keys)
}

// NewestOf is Newest of builds that Builds has listed.
func NewestOf(ctx context.Context, builds []Build, keys Keys) ([]Document, error) {
	n := newest{have: map[Kind]bool{}, seen: map[subjectOf]bool{}}
	for _, b := range slices.Backward(builds) {
		docs, err := b.EvidenceOf(ctx, keys, n.wants)
		if err != nil {
			return nil, err
		}
		n.take(docs)
		if n.enough() {
			break
		}
	}
	return n.docs, nil
}

// newest gathers what Newest looks for.
type newest struct {
	docs     []Document
	have     map[Kind]bool
	seen     map[subjectOf]bool
	artifact string // digest of the newest believable bootable artifact
	madeOf   string // digest of the image that it was made of
}

// subjectOf is a digest that a document of the kind is about.
type subjectOf struct {
	kind   Kind
	sha256 string
}

// wants tells whether documents of the kind are still to be read in older
// builds. An artifact that is not known yet may be about any image and proof.
func (n *newest) wants(k Kind) bool {
	switch k {
	case KindArtifact: // a failed export takes nothing from the artifact before it
		return !n.have[k] || n.artifact == ""
	case KindImage:
		return !n.have[k] || n.artifact == "" || !n.seen[subjectOf{k, n.madeOf}]
	case KindProof:
		return !n.have[k] || n.artifact == "" || !n.seen[subjectOf{k, n.artifact}]
	}
	return !n.have[k]
}

func (n *newest) take(older []Document) {
	n.docs = append(older, n.docs...)
	for _, d := range older {
		n.seen[subjectOf{d.Head.Kind, d.Subject().SHA256()}] = true
		if d.Head.Kind == KindArtifact && !n.takeArtifact(d) {
			continue
		}
		n.have[d.Head.Kind] = true
	}
}

// takeArtifact looks whether it is a bootable artifact; if not, the ledger is
// searched on.
func (n *newest) takeArtifact(d Document) bool {
	if strings.Contains(d.Head.InputKey, "/") {
		return false
	}
	var a Artifact
	if n.artifact == "" && d.Trust == Signed && d.Head.Verdict == Passed && d.Decode(&a) == nil {
		n.artifact, n.madeOf = d.Subject().SHA256(), a.ImageDigest
	}
	return true
}

func (n *newest) enough() bool { return !slices.ContainsFunc(Kinds, n.wants) }

// settle gives a tampered document a place in time and target from its file,
// since nothing inside it can be believed.
func (d *Document) settle(b Build, e fs.DirEntry) {
	kind, _ := kindOfID(d.ID)
	d.Head.Kind, d.Head.Target, d.Head.Build = kind, b.Target, b.ID
	if info, err := e.Info(); err == nil {
		d.Head.At = info.ModTime().UTC()
	}
}

// Builds lists a target's builds, oldest first. Build ids sort by time.
func (l Ledger) Builds(target string) ([]Build, error) {
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

// Targets lists the names under which builds are kept.
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

// Journal reads a build's events; a build without a journal has none.
func (b Build) Journal() ([]event.Event, error) {
	events, err := event.Read(b.JournalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return events, err
}

// NotFoundError says that no document has this id.
type NotFoundError struct{ ID string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no evidence %q in the ledger: `ingot status` lists the ids", e.ID)
}

// Find looks a document up by id, or by an unambiguous start of one.
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
			return Document{}, fmt.Errorf("evidence id %q is short of being clear: it fits %s and %s", id, strings.TrimSuffix(first, ".json"), strings.TrimSuffix(filepath.Base(p), ".json"))
		}
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		return Document{}, fmt.Errorf("ledger: %w", err)
	}
	d := Open(ctx, data, keys, strings.TrimSuffix(first, ".json"))
	d.Path = paths[0]
	return d, nil
}
