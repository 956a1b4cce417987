// Package evidence is the ledger: what was seen, when, about which bytes.
//
// An evidence document is an in-toto Statement v1 whose subject is a digest
// and whose predicate is one of seven kinds: Config, Guest, Kernel, Image,
// Artifact, Proof, Receipt. It is kept in a DSSE envelope. A document that
// records a pass is signed with the home's Ed25519 key; a document that
// records a failure is kept unsigned, so that no signature of ours ever stands
// under a failure that somebody edited into a pass.
//
// The ledger is a folder, builds/<target>/<build>/evidence, of files written
// once and named by kind and digest. The package judges whether a document is
// intact and signed; what it means for a target is package reality's matter.
//
// External facts: in-toto Statement v1 (in-toto/attestation spec/v1), DSSE v1
// (secure-systems-lab/dsse protocol.md).
package evidence

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Kind names what a document records.
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

// Verdict is how a check ended. The zero value is no verdict at all.
type Verdict string

// Verdicts.
const (
	Passed    Verdict = "passed"
	Failed    Verdict = "failed"
	Cancelled Verdict = "cancelled"
)

// Subject names the bytes that a document is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // "sha256" always, "sha512" where known
}

// SHA256 is the subject's identity.
func (s Subject) SHA256() string { return s.Digest["sha256"] }

// Head is what every predicate has.
type Head struct {
	APIVersion string            `json:"apiVersion"`
	Kind       Kind              `json:"kind"`
	Target     string            `json:"target"`
	Build      string            `json:"build"`
	At         time.Time         `json:"at"`
	Verdict    Verdict           `json:"verdict"`
	Cause      string            `json:"cause,omitempty"` // cause id when failed
	Message    string            `json:"message,omitempty"`
	Fix        string            `json:"fix,omitempty"`
	InputKey   string            `json:"inputKey,omitempty"`
	Inputs     map[string]string `json:"inputs,omitempty"`   // what InputKey is the digest of
	Tool       string            `json:"tool"`               // "ingot <version>"
	Restates   string            `json:"restates,omitempty"` // id of the pass that was found to stand still
}

// Statement is an in-toto Statement v1 with a predicate kept as raw JSON.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Signer makes raw Ed25519 signatures. secret.Signer is one.
type Signer interface {
	Sign(data []byte) []byte
	KeyID() string
	Public() ed25519.PublicKey
}

// Document is one evidence document with what is known of its integrity.
type Document struct {
	ID        string // "proof-1a2b3c4d5e6f": kind and digest of the payload
	Head      Head
	Statement Statement
	Envelope  []byte // the file's bytes
	Path      string // where it lies, if on disk
	Trust     Trust
	KeyID     string // of the accepted key that signed; "" unless Trust is Signed
	Problem   string // why Trust is Tampered or Foreign
}

// Trust says how far a document may be believed.
type Trust int

// Trust levels. Only Signed can make a cell Passed.
const (
	Unsigned Trust = iota // intact, no signature: a recorded failure
	Signed                // intact and signed by an accepted key
	Foreign               // signed, but by a key that is not accepted here
	Tampered              // unreadable, or digest or signature does not fit
)

// Cause ids of documents that cannot be believed.
const (
	CauseUnreadable = "evidence.unreadable"
	CauseChanged    = "evidence.changed"
	CauseSignature  = "evidence.signature-invalid"
	CauseForeign    = "evidence.foreign-key"
)

// Seal makes a document of predicate, which must marshal to an object that
// starts with a Head. A passed document is signed; others are not.
func Seal(ctx context.Context, signer Signer, subject Subject, head Head, predicate any) (Document, error) {
	if subject.SHA256() == "" {
		return Document{}, fmt.Errorf("evidence %s of %s: the subject has no sha256", head.Kind, head.Target)
	}
	raw, err := json.Marshal(predicate)
	if err != nil {
		return Document{}, fmt.Errorf("evidence %s: %w", head.Kind, err)
	}
	st := Statement{Type: statementType, Subject: []Subject{subject}, PredicateType: predicateBase + string(head.Kind), Predicate: raw}
	payload, err := json.Marshal(st)
	if err != nil {
		return Document{}, fmt.Errorf("evidence %s: %w", head.Kind, err)
	}
	env, err := envelope(ctx, signer, payload, head.Verdict == Passed)
	if err != nil {
		return Document{}, fmt.Errorf("evidence %s: sign: %w", head.Kind, err)
	}
	d := Document{ID: documentID(head.Kind, payload), Head: head, Statement: st, Envelope: env}
	if head.Verdict == Passed {
		d.Trust, d.KeyID = Signed, signer.KeyID()
	}
	return d, nil
}

func envelope(ctx context.Context, signer Signer, payload []byte, sign bool) ([]byte, error) {
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
		return errors.New("signature does not fit")
	}
	return nil
}
