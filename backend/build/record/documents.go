package record

import (
	"slices"
	"strings"
	"sync"

	"ingot/backend/evidence"
)

// Documents are the documents that decide whether a step of a build has to run: those
// of earlier builds of the target and the build's own. They are safe for concurrent
// use.
type Documents struct {
	mu     sync.Mutex
	known  []evidence.Document                 // of earlier builds and this one, oldest first
	chosen map[evidence.Kind]evidence.Document // the ones to which later steps refer
}

// NewDocuments returns Documents with those of earlier builds, oldest first.
func NewDocuments(known []evidence.Document) *Documents {
	return &Documents{known: known, chosen: map[evidence.Kind]evidence.Document{}}
}

// Add adds a document of this build; later steps refer to it.
func (r *Documents) Add(d evidence.Document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = append(r.known, d)
	r.chosen[d.Head.Kind] = d
}

// Of returns the document of a kind to which later steps refer.
func (r *Documents) Of(k evidence.Kind) (evidence.Document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.chosen[k]
	return d, ok
}

// Choose finds the newest signed pass of the key; later steps refer to it.
func (r *Documents) Choose(k evidence.Kind, key string) bool {
	_, ok := r.Refer(k, func(d evidence.Document) bool { return d.Head.InputKey == key })
	return ok
}

// Refer finds the newest signed pass of a kind for which fits returns true; later steps
// refer to it.
func (r *Documents) Refer(k evidence.Kind, fits func(evidence.Document) bool) (evidence.Document, bool) {
	d, ok := r.Pass(k, fits)
	if ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.chosen[k] = d
	}
	return d, ok
}

// Pass returns the newest signed pass of a kind for which fits returns true.
func (r *Documents) Pass(k evidence.Kind, fits func(evidence.Document) bool) (evidence.Document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range slices.Backward(r.known) {
		if d.Head.Kind == k && Passes(d) && fits(d) {
			return d, true
		}
	}
	return evidence.Document{}, false
}

// Newest returns the newest document of a kind about the bytes, whatever its verdict. A
// document that cannot be verified may be about any bytes.
func (r *Documents) Newest(k evidence.Kind, sha256 string) (evidence.Document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range slices.Backward(r.known) {
		if d.Head.Kind == k && (d.Subject().SHA256() == sha256 || d.Unbelievable()) {
			return d, true
		}
	}
	return evidence.Document{}, false
}

// siblings returns the passes of the same step by the build of d, oldest first: of an
// export, one for each format.
func (r *Documents) siblings(d evidence.Document) []evidence.Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []evidence.Document
	for _, k := range r.known {
		if Passes(k) && sameStep(k, d) {
			out = append(out, k)
		}
	}
	return out
}

// NewestIs reports whether the newest document of d's kind is d or a sibling.
func (r *Documents) NewestIs(d evidence.Document) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range slices.Backward(r.known) {
		if k.Head.Kind == d.Head.Kind {
			return Passes(k) && sameStep(k, d)
		}
	}
	return false
}

// sameStep reports whether two documents are of one run of a step. For an archive, the
// key is followed by the format.
func sameStep(a, b evidence.Document) bool {
	keyA, _, _ := strings.Cut(a.Head.InputKey, "/")
	keyB, _, _ := strings.Cut(b.Head.InputKey, "/")
	return a.Head.Kind == b.Head.Kind && a.Head.Build == b.Head.Build && keyA == keyB
}

// Passes reports whether a document is signed evidence of a pass.
func Passes(d evidence.Document) bool {
	return d.Trust == evidence.Signed && d.Head.Verdict == evidence.Passed
}
