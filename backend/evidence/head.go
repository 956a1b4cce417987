package evidence

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"ingot/backend/limit"
)

// The head of a target's ledger is a signed list of the target's documents, each
// with its number. Numbers begin at 1 and grow by 1 with each document, so that
// documents have an order that no clock decides, and a document that is missing is
// noticed, the newest one too. The head is builds/<target>/head.json: a DSSE
// envelope of headType.
//
// A ledger that was written before heads were introduced has none, and its
// documents have no numbers; they are ordered by build id and time. The first
// document that is recorded then numbers them in that order.
type head struct {
	APIVersion string      `json:"apiVersion"`
	Target     string      `json:"target"`
	Number     int         `json:"number"` // of the newest document
	Builds     []headBuild `json:"builds"` // in the order in which they began
	Removed    []removed   `json:"removed,omitempty"`
	Lost       int         `json:"lost,omitempty"` // an earlier head was lost: documents up to this number that are not listed do not count

	keyID string // of the key that signed it
}

// headBuild lists the documents of a build: their numbers by id.
type headBuild struct {
	ID        string         `json:"id"`
	Documents map[string]int `json:"documents,omitempty"`
}

// removed is the tombstone of a build that a garbage collection removed.
type removed struct {
	Build     string    `json:"build"`
	Documents int       `json:"documents"` // how many it had
	At        time.Time `json:"at"`
	Why       string    `json:"why"`
}

const (
	headType = "application/vnd.ingot.ledger-head+json"
	headFile = "head.json"
	// removedLimit is the number of tombstones that a head keeps, the newest ones.
	removedLimit = 1000
)

// Cause ids of documents that a head gives a reason not to trust. Status shows
// Unknown for them: what is recorded is not known to be complete.
const (
	CauseMissing  = "evidence.missing"   // the head lists it, and it is not there
	CauseHeadLost = "evidence.head-lost" // it has a number, and there is no valid head
	CauseUnlisted = "evidence.unlisted"  // there is a head, which does not list it
)

// Incomplete reports whether the document is missing, or the head of its ledger
// does not vouch for it.
func (d Document) Incomplete() bool {
	switch d.ProblemCause() {
	case CauseMissing, CauseHeadLost, CauseUnlisted:
		return d.Trust == Tampered
	}
	return false
}

func (l Ledger) headPath(target string) string { return filepath.Join(l.Dir, target, headFile) }

// HeadError reports that the head of a target's ledger cannot be used.
type HeadError struct {
	Path string
	Err  error
}

func (e *HeadError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }
func (e *HeadError) Unwrap() error { return e.Err }

// readHead returns the target's head, nil if there is none, and a *HeadError if it
// cannot be read or its signature is not valid under keys. Nil keys check no
// signature.
func (l Ledger) readHead(ctx context.Context, target string, keys Keys) (*head, error) {
	path := l.headPath(target)
	data, err := limit.ReadFile(path, limit.Journal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &HeadError{path, err}
	}
	sum := sha256.Sum256(data)
	h, env, err := parsedHeads.of(sum, data)
	if err == nil && h.Target != target {
		err = fmt.Errorf("it is the head of target %q", h.Target)
	}
	if err == nil && keys != nil {
		_, err = signedBy(ctx, env, sum, keys)
	}
	if err != nil {
		return nil, &HeadError{path, err}
	}
	return h, nil
}

// parsedHeads caches parsed heads by the digest of their file.
var parsedHeads headCache

type headCache struct {
	mu  sync.Mutex
	set map[[sha256.Size]byte]parsedHead
}

type parsedHead struct {
	head *head
	env  *dsse.Envelope
}

const headCacheLimit = 1 << 10

// of parses the file of a head, which has the digest sum. The result is shared:
// callers must not change it.
func (c *headCache) of(sum [sha256.Size]byte, data []byte) (*head, *dsse.Envelope, error) {
	c.mu.Lock()
	p, ok := c.set[sum]
	c.mu.Unlock()
	if ok {
		return p.head, p.env, nil
	}
	if err := json.Unmarshal(data, &p.env); err != nil || p.env == nil {
		return nil, nil, fmt.Errorf("the envelope is not valid JSON: %w", err)
	}
	payload, err := p.env.DecodeB64Payload()
	if err != nil || p.env.PayloadType != headType || len(p.env.Signatures) == 0 {
		return nil, nil, errors.New("the envelope has no signed head")
	}
	if err := json.Unmarshal(payload, &p.head); err != nil || p.head == nil {
		return nil, nil, fmt.Errorf("the head is not valid JSON: %w", err)
	}
	p.head.keyID = p.env.Signatures[0].KeyID
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil || len(c.set) >= headCacheLimit {
		c.set = map[[sha256.Size]byte]parsedHead{}
	}
	c.set[sum] = p
	return p.head, p.env, nil
}

// numbers returns the numbers of the build's documents, nil if the head does not
// list the build.
func (h *head) numbers(build string) map[string]int {
	if i := slices.IndexFunc(h.Builds, func(b headBuild) bool { return b.ID == build }); i >= 0 {
		return h.Builds[i].Documents
	}
	return nil
}

// leftover reports whether a document was written by a process that was killed before
// it wrote the head: it has a number above the head's, and no signature or one by the
// key of the head.
func (h *head) leftover(d Document) bool {
	return d.Head.Number > h.Number && (d.Trust == Unsigned || d.Trust == Signed && d.KeyID == h.keyID)
}

func (h *head) isRemoved(build string) bool {
	return slices.ContainsFunc(h.Removed, func(r removed) bool { return r.Build == build })
}

// add lists the build, and the document unless id is "".
func (h *head) add(build, id string, number int) {
	i := slices.IndexFunc(h.Builds, func(b headBuild) bool { return b.ID == build })
	if i < 0 {
		i = len(h.Builds)
		h.Builds = append(h.Builds, headBuild{ID: build})
	}
	if id == "" {
		return
	}
	if h.Builds[i].Documents == nil {
		h.Builds[i].Documents = map[string]int{}
	}
	h.Builds[i].Documents[id] = number
	h.Number = max(h.Number, number)
}

// clone returns a copy that may be changed.
func (h *head) clone() *head {
	c := *h
	c.Builds, c.Removed = slices.Clone(h.Builds), slices.Clone(h.Removed)
	for i, b := range c.Builds {
		docs := make(map[string]int, len(b.Documents))
		for id, n := range b.Documents {
			docs[id] = n
		}
		c.Builds[i].Documents = docs
	}
	return &c
}

// ordered returns the builds of a target in the order of its head. Builds that it
// does not list are placed by their id.
func (h *head) ordered(builds []Build) []Build {
	if h == nil {
		return builds
	}
	position := map[string]int{}
	for i, b := range h.Builds {
		position[b.ID] = i
	}
	out := make([]Build, 0, len(builds))
	for _, b := range builds {
		if _, listed := position[b.ID]; listed {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b Build) int { return cmp.Compare(position[a.ID], position[b.ID]) })
	for _, b := range builds {
		if _, listed := position[b.ID]; listed || h.isRemoved(b.ID) {
			continue
		}
		i := len(out)
		for i > 0 && out[i-1].ID > b.ID {
			i--
		}
		out = slices.Insert(out, i, b)
	}
	return out
}
