package build

import (
	"slices"
	"strings"
	"sync"

	"ingot/backend/evidence"
)

// records are the documents that a build goes by: those of the builds before
// it and its own. Kernel and root file system are made side by side, so the
// methods may be called from several goroutines.
type records struct {
	mu     sync.Mutex
	known  []evidence.Document                 // of earlier builds and this one, oldest first
	chosen map[evidence.Kind]evidence.Document // what later steps refer to
}

func newRecords(known []evidence.Document) *records {
	return &records{known: known, chosen: map[evidence.Kind]evidence.Document{}}
}

// add takes a document of this build; later steps refer to it.
func (r *records) add(d evidence.Document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = append(r.known, d)
	r.chosen[d.Head.Kind] = d
}

// of is the document of a kind that later steps refer to.
func (r *records) of(k evidence.Kind) (evidence.Document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.chosen[k]
	return d, ok
}

// choose looks for a signed pass of the key, the newest first, and lets later
// steps refer to it.
func (r *records) choose(k evidence.Kind, key string) bool {
	_, ok := r.refer(k, func(d evidence.Document) bool { return d.Head.InputKey == key })
	return ok
}

// refer lets later steps refer to the newest signed pass of a kind that fits.
func (r *records) refer(k evidence.Kind, fits func(evidence.Document) bool) (evidence.Document, bool) {
	d, ok := r.pass(k, fits)
	if ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.chosen[k] = d
	}
	return d, ok
}

// pass is the newest signed pass of a kind that fits.
func (r *records) pass(k evidence.Kind, fits func(evidence.Document) bool) (evidence.Document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range slices.Backward(r.known) {
		if d.Head.Kind == k && passes(d) && fits(d) {
			return d, true
		}
	}
	return evidence.Document{}, false
}

// newest is the newest document of a kind about the bytes, as it ended. One that
// cannot be believed may be about any bytes.
func (r *records) newest(k evidence.Kind, sha256 string) (evidence.Document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range slices.Backward(r.known) {
		if d.Head.Kind == k && (d.Subject().SHA256() == sha256 || d.Unbelievable()) {
			return d, true
		}
	}
	return evidence.Document{}, false
}

// siblings are the passes that the build of d recorded of the same step, oldest
// first: of an export, one for each format.
func (r *records) siblings(d evidence.Document) []evidence.Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []evidence.Document
	for _, k := range r.known {
		if passes(k) && sameStep(k, d) {
			out = append(out, k)
		}
	}
	return out
}

// newestIs tells whether the newest document of d's kind is d or a sibling.
func (r *records) newestIs(d evidence.Document) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range slices.Backward(r.known) {
		if k.Head.Kind == d.Head.Kind {
			return passes(k) && sameStep(k, d)
		}
	}
	return false
}

// sameStep tells whether two documents are of one run of a step. The format of
// an archive stands behind the key.
func sameStep(a, b evidence.Document) bool {
	keyA, _, _ := strings.Cut(a.Head.InputKey, "/")
	keyB, _, _ := strings.Cut(b.Head.InputKey, "/")
	return a.Head.Kind == b.Head.Kind && a.Head.Build == b.Head.Build && keyA == keyB
}

// passes tells whether a document is signed evidence of a pass.
func passes(d evidence.Document) bool {
	return d.Trust == evidence.Signed && d.Head.Verdict == evidence.Passed
}
