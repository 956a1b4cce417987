package evidence

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Keys are the accepted public keys by key id.
type Keys map[string]ed25519.PublicKey

// KeyOf returns the key set that accepts only this signer.
func KeyOf(s Signer) Keys { return Keys{s.KeyID(): s.Public()} }

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Open reads an envelope. It returns no error: a document that cannot be
// trusted has Trust and Problem set, and as much of its head as could be read.
// wantID, if not empty, is the id under which the document was stored; content
// with another id is Tampered.
func Open(ctx context.Context, data []byte, keys Keys, wantID string) Document {
	d := Document{ID: wantID, Envelope: data, Trust: Tampered}
	if kind, ok := kindOfID(wantID); ok {
		d.Head.Kind = kind
	}
	var env dsse.Envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return d.distrust(CauseUnreadable, fmt.Sprintf("the envelope is not valid JSON: %v", err))
	}
	payload, err := env.DecodeB64Payload()
	if err != nil || env.PayloadType != payloadType {
		return d.distrust(CauseUnreadable, "the envelope has no in-toto payload")
	}
	if err := d.read(payload); err != nil {
		return d.distrust(CauseChanged, err.Error())
	}
	if id := documentID(d.Head.Kind, payload); wantID != "" && id != wantID {
		return d.distrust(CauseChanged, fmt.Sprintf("its content has the digest of %s: it was changed after it was written", id))
	} else {
		d.ID = id
	}
	return d.setTrust(ctx, &env, keys)
}

// read decodes the statement and the head from the payload.
func (d *Document) read(payload []byte) error {
	var st Statement
	if err := json.Unmarshal(payload, &st); err != nil {
		return fmt.Errorf("the payload is not an in-toto statement: %w", err)
	}
	var head Head
	if err := json.Unmarshal(st.Predicate, &head); err != nil {
		return fmt.Errorf("the predicate has no readable head: %w", err)
	}
	if st.Type != statementType || st.PredicateType != predicateBase+string(head.Kind) || len(st.Subject) != 1 || st.Subject[0].SHA256() == "" {
		return errors.New("the statement's type, predicate or subject does not match its kind")
	}
	d.Statement, d.Head = st, head
	return nil
}

// setTrust sets Trust according to the signatures.
func (d Document) setTrust(ctx context.Context, env *dsse.Envelope, keys Keys) Document {
	if len(env.Signatures) == 0 {
		if d.Head.Verdict == Passed {
			return d.distrust(CauseSignature, "it records a pass and has no signature")
		}
		d.Trust = Unsigned
		return d
	}
	id := env.Signatures[0].KeyID
	known, err := signedBy(ctx, env, sha256.Sum256(d.Envelope), keys)
	switch {
	case !known:
		d.Trust, d.Problem = Foreign, CauseForeign+": "+err.Error()
	case err != nil:
		return d.distrust(CauseSignature, err.Error())
	default:
		d.Trust, d.KeyID = Signed, id
	}
	return d
}

// signedBy returns an error unless the envelope, whose file has the digest sum, is
// signed by one of keys; known reports whether the key that it names is among them.
func signedBy(ctx context.Context, env *dsse.Envelope, sum [sha256.Size]byte, keys Keys) (known bool, err error) {
	id := env.Signatures[0].KeyID
	key, known := keys[id]
	if !known {
		return false, fmt.Errorf("signed by key %s, which is not accepted here", id)
	}
	same := sha256.Sum256(append(slices.Clone(key), sum[:]...))
	if verifiedSignatures.has(same) {
		return true, nil
	}
	v, err := dsse.NewEnvelopeVerifier(dsseKey{public: key, id: id})
	if err == nil {
		_, err = v.Verify(ctx, env)
	}
	if err != nil {
		return true, errors.New("its signature does not match its content")
	}
	verifiedSignatures.add(same)
	return true, nil
}

// verifiedSignatures has the digests of key and file digest of every signature
// that this process has verified, so that the same bytes are verified once.
var verifiedSignatures digestSet

// digestSet is a set of digests of limited size: it is emptied when it is full.
// Its methods are safe for concurrent use.
type digestSet struct {
	mu  sync.Mutex
	set map[[sha256.Size]byte]struct{}
}

const digestSetLimit = 1 << 15 // entries of 32 bytes

func (r *digestSet) has(sum [sha256.Size]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.set[sum]
	return ok
}

func (r *digestSet) add(sum [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil || len(r.set) == digestSetLimit {
		r.set = map[[sha256.Size]byte]struct{}{}
	}
	r.set[sum] = struct{}{}
}

func (d Document) distrust(cause, why string) Document {
	d.Trust = Tampered
	d.Problem = cause + ": " + why
	return d
}

// Restate returns the predicate with another head that names this document in
// Restates.
func (d Document) Restate(head Head) (Head, json.RawMessage, error) {
	head.Restates = d.ID
	var fields, over map[string]json.RawMessage
	text, err := json.Marshal(head)
	if err == nil {
		err = errors.Join(json.Unmarshal(text, &over), json.Unmarshal(d.Statement.Predicate, &fields))
	}
	if err != nil {
		return head, nil, fmt.Errorf("evidence %s: %w", d.ID, err)
	}
	delete(fields, "number")
	maps.Copy(fields, over)
	text, err = json.Marshal(fields)
	return head, text, err
}

// Unbelievable reports whether the document was changed, or signed by a key
// that is not accepted here. Its content must not be used.
func (d Document) Unbelievable() bool { return d.Trust == Tampered || d.Trust == Foreign }

// ProblemCause returns the cause id at the start of Problem.
func (d Document) ProblemCause() string {
	id, _, _ := strings.Cut(d.Problem, ":")
	return id
}

// Subject returns the document's single subject; it is empty for an unreadable
// document.
func (d Document) Subject() Subject {
	if len(d.Statement.Subject) == 0 {
		return Subject{}
	}
	return d.Statement.Subject[0]
}

// Decode decodes the predicate into v, a pointer to one of the predicate types
// of this package.
func (d Document) Decode(v any) error {
	if err := json.Unmarshal(d.Statement.Predicate, v); err != nil {
		return fmt.Errorf("evidence %s: %w", d.ID, err)
	}
	return nil
}

func kindOfID(id string) (Kind, bool) {
	name, _, _ := strings.Cut(id, "-")
	for _, k := range Kinds {
		if strings.EqualFold(string(k), name) {
			return k, true
		}
	}
	return "", false
}
