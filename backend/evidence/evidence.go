// Package evidence is the ledger of observations: what was observed, when, and
// of which bytes.
//
// An evidence document is an in-toto Statement v1. Its subject is a digest, and
// its predicate is one of seven kinds: Config, Guest, Kernel, Image, Artifact,
// Proof, Receipt. It is stored in a DSSE envelope. A document that records a
// pass is signed with the home's Ed25519 key. A document that records a failure
// is stored unsigned, so that a failure that was edited into a pass has no valid
// signature.
//
// The ledger is a folder, builds/<target>/<build>/evidence, of files that are
// written once and named by kind and digest. The package checks whether a
// document is intact and signed; package reality derives what it means for a
// target.
//
// External facts: in-toto Statement v1 (in-toto/attestation spec/v1), DSSE v1
// (secure-systems-lab/dsse protocol.md).
package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Kind is the kind of a document.
type Kind string

// The seven kinds, in the order of a build.
const (
	KindConfig   Kind = "Config"
	KindGuest    Kind = "Guest"
	KindKernel   Kind = "Kernel"
	KindImage    Kind = "Image"
	KindArtifact Kind = "Artifact"
	KindProof    Kind = "Proof"
	KindReceipt  Kind = "Receipt"
)

// Kinds lists all kinds in order.
var Kinds = []Kind{KindConfig, KindGuest, KindKernel, KindImage, KindArtifact, KindProof, KindReceipt}

const (
	apiVersion    = "ingot/v1"
	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
	predicateBase = "urn:ingot:evidence:v1:"
)

// Verdict is the result of a check. The zero value is not a verdict.
type Verdict string

// Verdicts.
const (
	Passed    Verdict = "passed"
	Failed    Verdict = "failed"
	Cancelled Verdict = "cancelled"
)

// Subject identifies the bytes that a document is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // lower-case hex; "sha256" always, "sha512" where known
}

// SHA256 returns the subject's SHA-256 in lower-case hex.
func (s Subject) SHA256() string { return s.Digest["sha256"] }

// Head has the fields that every predicate starts with.
type Head struct {
	APIVersion string            `json:"apiVersion"`
	Kind       Kind              `json:"kind"`
	Target     string            `json:"target"`
	Build      string            `json:"build"`
	Number     int               `json:"number,omitempty"` // of the document in its target's ledger, from 1; 0 for those of earlier versions
	At         time.Time         `json:"at"`
	Verdict    Verdict           `json:"verdict"`
	Cause      string            `json:"cause,omitempty"` // cause id when failed
	Message    string            `json:"message,omitempty"`
	Fix        string            `json:"fix,omitempty"`
	InputKey   string            `json:"inputKey,omitempty"`
	Inputs     map[string]string `json:"inputs,omitempty"`   // the values that InputKey is the digest of
	Tool       string            `json:"tool"`               // "ingot <version>"
	Restates   string            `json:"restates,omitempty"` // id of the earlier pass that this document repeats
}

// Statement is an in-toto Statement v1 whose predicate is raw JSON.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Signer makes Ed25519 signatures; secret.Signer implements it.
type Signer interface {
	Sign(data []byte) []byte
	KeyID() string
	Public() ed25519.PublicKey
}

// Document is an evidence document and the result of its integrity check.
type Document struct {
	ID        string // "proof-1a2b3c4d5e6f": kind and digest of the payload
	Head      Head
	Statement Statement
	Envelope  []byte // content of the file
	Path      string // path of the file, "" if there is none
	Trust     Trust
	KeyID     string // of the accepted key that signed; "" unless Trust is Signed
	Problem   string // why Trust is Tampered or Foreign
}

// Trust is the result of a document's integrity check.
type Trust int

// Trust levels. Only Signed can make a cell Passed.
const (
	Unsigned Trust = iota // intact, no signature: a recorded failure
	Signed                // intact and signed by an accepted key
	Foreign               // signed, but by a key that is not accepted here
	Tampered              // unreadable, or digest or signature invalid
)

// Cause ids of documents that cannot be trusted.
const (
	CauseUnreadable = "evidence.unreadable"
	CauseChanged    = "evidence.changed"
	CauseSignature  = "evidence.signature-invalid"
	CauseForeign    = "evidence.foreign-key"
	CauseMisplaced  = "evidence.misplaced" // it lies in the folder of another target or build
)

// Seal makes a document from a predicate, which must marshal to a JSON object
// that starts with a Head. A document with the verdict Passed is signed; others
// are not.
func Seal(ctx context.Context, signer Signer, subject Subject, head Head, predicate any) (Document, error) {
	if subject.SHA256() == "" {
		return Document{}, fmt.Errorf("evidence %s of %s: the subject has no sha256", head.Kind, head.Target)
	}
	raw, err := json.Marshal(predicate)
	if err != nil {
		return Document{}, fmt.Errorf("evidence %s: %w", head.Kind, err)
	}
	if raw, err = numbered(raw, head.Number); err != nil {
		return Document{}, fmt.Errorf("evidence %s: %w", head.Kind, err)
	}
	st := Statement{Type: statementType, Subject: []Subject{subject}, PredicateType: predicateBase + string(head.Kind), Predicate: raw}
	payload, err := json.Marshal(st)
	if err != nil {
		return Document{}, fmt.Errorf("evidence %s: %w", head.Kind, err)
	}
	env, err := envelope(ctx, signer, payloadType, payload, head.Verdict == Passed)
	if err != nil {
		return Document{}, fmt.Errorf("evidence %s: sign: %w", head.Kind, err)
	}
	d := Document{ID: documentID(head.Kind, payload), Head: head, Statement: st, Envelope: env}
	if head.Verdict == Passed {
		d.Trust, d.KeyID = Signed, signer.KeyID()
	}
	return d, nil
}

// numbered puts the number first in the JSON object of a predicate, which was made
// from a head without it.
func numbered(predicate json.RawMessage, n int) (json.RawMessage, error) {
	var had struct{ Number int }
	if err := json.Unmarshal(predicate, &had); err != nil || had.Number == n {
		return predicate, err
	}
	if had.Number != 0 {
		return nil, fmt.Errorf("the predicate has number %d, its head has %d", had.Number, n)
	}
	rest := bytes.TrimPrefix(bytes.TrimSpace(predicate), []byte("{"))
	return slices.Concat([]byte(`{"number":`+strconv.Itoa(n)+`,`), rest), nil
}

func envelope(ctx context.Context, signer Signer, payloadType string, payload []byte, sign bool) ([]byte, error) {
	env := &dsse.Envelope{PayloadType: payloadType, Payload: encodeBase64(payload), Signatures: []dsse.Signature{}}
	if sign {
		es, err := dsse.NewEnvelopeSigner(dsseKey{signer: signer})
		if err != nil {
			return nil, err
		}
		if env, err = es.SignPayload(ctx, payloadType, payload); err != nil {
			return nil, err
		}
	}
	b, err := json.MarshalIndent(env, "", " ")
	return append(b, '\n'), err
}

func documentID(kind Kind, payload []byte) string {
	sum := sha256.Sum256(payload)
	return strings.ToLower(string(kind)) + "-" + hex.EncodeToString(sum[:6])
}

// dsseKey adapts an Ed25519 key to go-securesystemslib.
type dsseKey struct {
	signer Signer
	public ed25519.PublicKey
	id     string
}

func (k dsseKey) Sign(_ context.Context, data []byte) ([]byte, error) {
	return k.signer.Sign(data), nil
}

func (k dsseKey) KeyID() (string, error) {
	if k.signer != nil {
		return k.signer.KeyID(), nil
	}
	return k.id, nil
}

func (k dsseKey) Public() crypto.PublicKey { return k.public }

func (k dsseKey) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(k.public, data, sig) {
		return errors.New("signature does not match")
	}
	return nil
}
