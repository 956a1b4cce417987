package status

import (
	"testing"

	"ingot/backend/evidence"
	"ingot/backend/hometest"
)

// A proof by Lima is recorded with the files; the row of the target whose artifact has
// that digest lists it, and no other proof.
func TestRowListsProofByLima(t *testing.T) {
	b := hometest.Open(t)
	name := b.Targets.Names()[0]
	machines := func() string {
		rows, err := Rows(t.Context(), b, name)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%+v, %v", rows, err)
		}
		return rows[0].Machines()
	}
	prove := func(text string) {
		records := b.Line().Records()
		folder, err := records.FilesFolder()
		if err != nil {
			t.Fatal(err)
		}
		p := evidence.Proof{Boots: []evidence.Boot{{Name: "lima", VMType: "vz"}}}
		p.Verdict = evidence.Passed
		p.Head = records.ProofHead(folder, p, "key")
		if _, err := records.KeepFile(t.Context(), folder, evidence.Subject{Name: "d.qcow2", Digest: map[string]string{"sha256": hometest.DigestOf(text)}}, p.Head, p); err != nil {
			t.Fatal(err)
		}
	}
	prove("disk")
	if got := machines(); got != "" {
		t.Errorf("without an artifact: %s", got)
	}
	hometest.Record(t, b, "20260101-000000-aaaa", evidence.KindArtifact, "another disk", func(h evidence.Head) any {
		return evidence.Artifact{Head: h, Name: "d.qcow2", Format: "qcow2", File: "outputs/d.qcow2", Size: 4}
	})
	if got := machines(); got != "QEMU ? · Apple VZ ?" {
		t.Errorf("a proof of another file: %s", got)
	}
	prove("another disk")
	if got := machines(); got != "QEMU ? · Apple VZ ✓" {
		t.Errorf("a proof of this file: %s", got)
	}
}
