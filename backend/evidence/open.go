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

// KeyOf is the key set that accepts only this signer.
func KeyOf(s Signer) Keys { return Keys{s.KeyID(): s.Public()} }

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Open reads an envelope. It never fails: a document that cannot be believed
// comes back with Trust and Problem set, and with as much of its head as could
// be read. wantID, when not empty, is the id under which the document was
// kept; other content than that is Tampered.
func Open(ctx context.Context, data []byte, keys Keys, wantID string) Document {
	d := Document{ID: wantID, Envelope: data, Trust: Tampered}
	if kind, ok := kindOfID(wantID); ok {
		d.Head.Kind = kind
	}
	var env dsse.Envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return d.distrust(CauseUnreadable, fmt.Sprintf("the envelope is no JSON: %v", err))
	}
	payload, err := env.DecodeB64Payload()
	if err != nil || env.PayloadType != payloadType {
		return d.distrust(CauseUnreadable, "the envelope holds no in-toto payload")
	}
	if err := d.read(payload); err != nil {
		return d.distrust(CauseChanged, err.Error())
	}
	if id := documentID(d.Head.Kind, payload); wantID != "" && id != wantID {
		return d.distrust(CauseChanged, fmt.Sprintf("its content has the digest of %s: it was changed after it was written", id))
	} else {
		d.ID = id
	}
	return d.judge(ctx, &env, keys)
}

// read fills statement and head from the payload.
func (d *Document) read(payload []byte) error {
	var st Statement
	if err := json.Unmarshal(payload, &st); err != nil {
		return fmt.Errorf("the payload is no in-toto statement: %w", err)
	}
	var head Head
	if err := json.Unmarshal(st.Predicate, &head); err != nil {
		return fmt.Errorf("the predicate has no readable head: %w", err)
	}
	if st.Type != statementType || st.PredicateType != predicateBase+string(head.Kind) || len(st.Subject) != 1 || st.Subject[0].SHA256() == "" {
		return errors.New("the statement's type, predicate or subject does not fit its kind")
	}
	d.Statement, d.Head = st, head
	return nil
}

// judge decides Trust from the signatures.
func (d Document) judge(ctx context.Context, env *dsse.Envelope, keys Keys) Document {
	if len(env.Signatures) == 0 {
		if d.Head.Verdict == Passed {
			return d.distrust(CauseSignature, "it claims a pass and carries no signature")
		}
		d.Trust = Unsigned
		return d
	}
	key, known := keys[env.Signatures[0].KeyID]
	if !known {
		d.Trust = Foreign
		d.Problem = CauseForeign + ": signed by key " + env.Signatures[0].KeyID + ", which is not accepted here"
		return d
	}
	same := sha256.Sum256(append(slices.Clone(key), d.Envelope...))
	if !fits.has(same) {
		v, err := dsse.NewEnvelopeVerifier(dsseKey{public: key, id: env.Signatures[0].KeyID})
		if err == nil {
			_, err = v.Verify(ctx, env)
		}
		if err != nil {
			return d.distrust(CauseSignature, "its signature does not fit its content")
		}
		fits.add(same)
	}
	d.Trust, d.KeyID = Signed, env.Signatures[0].KeyID
	return d
}

// fits holds the keys and envelopes, by the digest of both, whose signatures
// this process found to fit: of the same bytes that need not be found again.
var fits remembered

// remembered is a set of digests. It forgets all when it is full. Its methods
// may be called from several goroutines.
type remembered struct {
	mu  sync.Mutex
	set map[[sha256.Size]byte]struct{}
}

const rememberedMost = 1 << 15 // of 32 bytes each

func (r *remembered) has(sum [sha256.Size]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.set[sum]
	return ok
}

func (r *remembered) add(sum [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil || len(r.set) == rememberedMost {
		r.set = map[[sha256.Size]byte]struct{}{}
	}
	r.set[sum] = struct{}{}
}

func (d Document) distrust(cause, why string) Document {
	d.Trust = Tampered
	d.Problem = cause + ": " + why
	return d
}

// Restate is the predicate with another head, which names this document.
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
	maps.Copy(fields, over)
	text, err = json.Marshal(fields)
	return head, text, err
}

// Unbelievable tells whether the document was changed, or was signed by a key
// that is not accepted here: nothing it says counts.
func (d Document) Unbelievable() bool { return d.Trust == Tampered || d.Trust == Foreign }

// ProblemCause is the cause id at the start of Problem.
func (d Document) ProblemCause() string {
	id, _, _ := strings.Cut(d.Problem, ":")
	return id
}

// Subject is the document's single subject; empty for an unreadable one.
func (d Document) Subject() Subject {
	if len(d.Statement.Subject) == 0 {
		return Subject{}
	}
	return d.Statement.Subject[0]
}

// Decode reads the predicate into v, one of the predicate types of this package.
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
