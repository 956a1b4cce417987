package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"ingot/backend/limit"

	"golang.org/x/sys/unix"
)

// view is what a target's head says while its documents are read.
type view struct {
	keys    Keys
	head    *head // nil if there is none, or no valid one
	problem string
}

func (l Ledger) view(ctx context.Context, target string, keys Keys) (view, error) {
	h, err := l.readHead(ctx, target, keys)
	v := view{keys: keys, head: h}
	var broken *HeadError
	switch {
	case errors.As(err, &broken):
		v.problem = err.Error()
	case err != nil:
		return v, err
	}
	return v, nil
}

// evidenceOf reads the documents of the wanted kinds of a build. A document that is
// being recorded may be seen before the head that lists it; such a build is read
// again while no process writes.
func (v view) evidenceOf(ctx context.Context, b Build, wanted func(Kind) bool) ([]Document, error) {
	docs, err := b.read(ctx, v, wanted)
	if err != nil || !slices.ContainsFunc(docs, Document.Incomplete) {
		return docs, err
	}
	unlock, err := b.ledger().lockTarget(b.Target, unix.LOCK_SH)
	if err != nil { // the folder is read-only, or removed: no process writes
		return docs, nil
	}
	defer func() { _ = unlock() }()
	if v, err = b.ledger().view(ctx, b.Target, v.keys); err != nil {
		return nil, err
	}
	return b.read(ctx, v, wanted)
}

// read reads the documents of the wanted kinds, in the order of the head, and takes
// the trust from those for which it does not vouch.
func (b Build) read(ctx context.Context, v view, wanted func(Kind) bool) ([]Document, error) {
	docs, err := b.readAll(ctx, v.keys, v.head, wanted)
	if err != nil {
		return nil, err
	}
	for i, d := range docs {
		docs[i] = v.vouch(b, d)
	}
	if v.head == nil {
		return docs, nil
	}
	numbers := v.head.numbers(b.ID)
	for id, n := range numbers {
		kind, known := kindOfID(id)
		if known && !wanted(kind) || slices.ContainsFunc(docs, func(d Document) bool { return d.ID == id }) {
			continue
		}
		missing := Document{ID: id, Path: b.evidencePath(id), Head: Head{Kind: kind, Target: b.Target, Build: b.ID, Number: n}}
		docs = append(docs, missing.distrust(CauseMissing, fmt.Sprintf("document %d of %s is not there: %s. Put it back from a backup, or build again", n, b.Target, missing.Path)))
	}
	position := func(d Document) int {
		if n, listed := numbers[d.ID]; listed {
			return n
		}
		return v.head.Number + d.Head.Number
	}
	slices.SortStableFunc(docs, func(x, y Document) int { return cmp.Compare(position(x), position(y)) })
	return docs, nil
}

// vouch takes the trust from a document that the head does not list, unless it is a
// leftover.
func (v view) vouch(b Build, d Document) Document {
	if d.Unbelievable() {
		return d
	}
	if v.head == nil {
		switch {
		case v.problem != "":
			return d.distrust(CauseHeadLost, "the head of the ledger is not valid: "+v.problem+". Put it back from a backup, or build again")
		case d.Head.Number > 0:
			return d.distrust(CauseHeadLost, fmt.Sprintf("%s is missing: documents may be missing too. Put it back from a backup, or build again", b.ledger().headPath(b.Target)))
		}
		return d
	}
	if _, listed := v.head.numbers(b.ID)[d.ID]; listed || v.head.leftover(d) {
		return d
	}
	return d.distrust(CauseUnlisted, fmt.Sprintf("%s does not list it: it was copied here, or recorded before an earlier head was lost. Build again", b.ledger().headPath(b.Target)))
}

// readAll reads the documents of the wanted kinds as they are on disk, in the order
// of their time. Builds that the head has removed have none.
func (b Build) readAll(ctx context.Context, keys Keys, h *head, wanted func(Kind) bool) ([]Document, error) {
	if h != nil && h.isRemoved(b.ID) {
		return nil, nil
	}
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
		data, err := limit.ReadFile(path, limit.Document)
		d := Open(ctx, data, keys, id).in(b)
		if err != nil {
			d = Document{ID: id}.distrust(CauseUnreadable, err.Error())
		}
		d.Path = path
		if d.Trust == Tampered {
			d.fillTampered(b, e)
		}
		docs = append(docs, d)
	}
	sort.SliceStable(docs, func(i, j int) bool { return docs[i].Head.At.Before(docs[j].Head.At) })
	return docs, nil
}

// Newest reads, for each kind, the documents of the newest build that has any,
// oldest first. From older builds it adds artifacts until one is bootable and
// trustworthy, images until that artifact's image is found, and proofs until
// one is about that artifact; receipts of builds since that artifact's, each of which may
// be of another destination. A status needs no more than that.
func (l Ledger) Newest(ctx context.Context, target string, keys Keys) ([]Document, error) {
	h, err := l.History(ctx, target, keys)
	if err != nil {
		return nil, err
	}
	return h.Newest(ctx)
}

// History is a target's builds with what the head of its ledger says of them. It is
// of the moment when it was read.
type History struct {
	Builds   []Build // those that have a folder, oldest first
	Recorded []Build // with those that the head lists and that have no folder
	view     view
}

// History reads the builds of a target. A target without builds has an empty one.
func (l Ledger) History(ctx context.Context, target string, keys Keys) (History, error) {
	folders, err := l.folders(target)
	if err != nil {
		return History{}, err
	}
	v, err := l.view(ctx, target, keys)
	if err != nil {
		return History{}, err
	}
	h := History{Builds: v.head.ordered(folders), view: v}
	h.Recorded = h.Builds
	if listed := l.listed(target, v.head, folders); len(listed) > len(folders) {
		h.Recorded = v.head.ordered(listed)
	}
	return h, nil
}

// Of reads all documents of one of the builds, as Build.Evidence does.
func (h History) Of(ctx context.Context, b Build) ([]Document, error) {
	return h.view.evidenceOf(ctx, b, anyKind)
}

// Evidence reads the documents of all builds, oldest build first.
func (h History) Evidence(ctx context.Context) ([]Document, error) {
	var all []Document
	for _, b := range h.Recorded {
		docs, err := h.Of(ctx, b)
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	return all, nil
}

// OfKind reads the documents of one kind of all builds, oldest build first.
func (h History) OfKind(ctx context.Context, k Kind) ([]Document, error) {
	var all []Document
	for _, b := range h.Recorded {
		docs, err := h.view.evidenceOf(ctx, b, func(other Kind) bool { return other == k })
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	return all, nil
}

// Newest is the Newest of the ledger.
func (h History) Newest(ctx context.Context) ([]Document, error) {
	n := newest{have: map[Kind]bool{}, seen: map[subjectOf]bool{}}
	for _, b := range slices.Backward(h.Recorded) {
		docs, err := h.view.evidenceOf(ctx, b, n.wants)
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

// newest collects the documents for Newest.
type newest struct {
	docs     []Document
	have     map[Kind]bool
	seen     map[subjectOf]bool
	artifact string // digest of the newest trustworthy bootable artifact
	madeOf   string // digest of the image that the artifact was exported from
}

// subjectOf identifies what a document of a kind is about.
type subjectOf struct {
	kind   Kind
	sha256 string
}

// wants reports whether documents of the kind must be read from older builds.
// While the artifact is unknown, any image or proof may belong to it.
func (n *newest) wants(k Kind) bool {
	switch k {
	case KindArtifact: // a failed export does not invalidate the artifact of an earlier one
		return !n.have[k] || n.artifact == ""
	case KindImage:
		return !n.have[k] || n.artifact == "" || !n.seen[subjectOf{k, n.madeOf}]
	case KindProof:
		return !n.have[k] || n.artifact == "" || !n.seen[subjectOf{k, n.artifact}]
	case KindReceipt: // those of the artifact are not older than it is
		return !n.have[k] || n.artifact == ""
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

// takeArtifact reports whether the document is a bootable artifact. If not,
// older builds are searched.
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

// listed returns the folders, and those of the head's builds that are not among them.
// folders are sorted by id.
func (l Ledger) listed(target string, h *head, folders []Build) []Build {
	if h == nil {
		return folders
	}
	out := slices.Clone(folders)
	for _, b := range h.Builds {
		if _, there := slices.BinarySearchFunc(folders, b.ID, func(f Build, id string) int { return cmp.Compare(f.ID, id) }); there {
			continue
		}
		if f, err := l.Build(target, b.ID); err == nil {
			out = append(out, f)
		}
	}
	return out
}

// Leftovers lists folders of builds that were removed from the head and not from
// the disk.
func (l Ledger) Leftovers(ctx context.Context, target string) ([]Build, error) {
	builds, err := l.folders(target)
	if err != nil {
		return nil, err
	}
	h, err := l.readHead(ctx, target, nil)
	if err != nil || h == nil {
		return nil, nil
	}
	return slices.DeleteFunc(builds, func(b Build) bool { return !h.isRemoved(b.ID) }), nil
}
