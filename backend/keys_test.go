package backend_test

import (
	"testing"

	"ingot/backend/evidence"
	"ingot/backend/hometest"
)

// A key that is replaced stays accepted for what it signed before; once it is retired
// nothing that it signed counts, and the heads of the ledger are valid all the same.
func TestRetireKey(t *testing.T) {
	b := hometest.Open(t)
	old := b.Signer.KeyID()
	hometest.Record(t, b, "20260101-000000-aaaa", evidence.KindProof, "disk", func(h evidence.Head) any { return evidence.Proof{Head: h} })
	newest := func() evidence.Document {
		t.Helper()
		home := hometest.Reopen(t)
		docs, err := home.Ledger.Newest(t.Context(), home.Targets.Names()[0], home.Keys)
		if err != nil || len(docs) != 1 {
			t.Fatalf("%v, %v", docs, err)
		}
		return docs[0]
	}
	if err := b.RetireKey(t.Context(), old); err == nil {
		t.Error("the current key was retired")
	}
	if _, err := b.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := newest(); d.Trust != evidence.Signed || d.KeyID != old {
		t.Errorf("after the rotation: trust %d, %s", d.Trust, d.Problem)
	}
	if err := hometest.Reopen(t).RetireKey(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if d := newest(); d.Trust != evidence.Foreign || d.Incomplete() {
		t.Errorf("after its end: trust %d, %s", d.Trust, d.Problem)
	}
}
