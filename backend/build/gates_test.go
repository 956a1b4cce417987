package build

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/build/record"
	"ingot/backend/evidence"
	"ingot/backend/guest"
)

// documentOf returns a document of the ledger about the bytes with the digest.
func documentOf(kind evidence.Kind, trust evidence.Trust, v evidence.Verdict, key, sha256 string) evidence.Document {
	return evidence.Document{ID: strings.ToLower(string(kind)) + "-1", Trust: trust, Head: evidence.Head{Kind: kind, Verdict: v, InputKey: key, Build: "b1"},
		Statement: evidence.Statement{Subject: []evidence.Subject{about("x", sha256)}}}
}

// withDocuments returns a build with these documents.
func withDocuments(docs []evidence.Document) *Session {
	return &Session{Build: &record.Build{Documents: record.NewDocuments(docs)}}
}

// on returns a build of the line with these documents.
func on(l *Line, docs []evidence.Document) *Session {
	s := withDocuments(docs)
	s.Line = l
	return s
}

// A step has evidence only if there is a signed pass of its kind and key.
func TestEvidenced(t *testing.T) {
	const image = evidence.KindImage
	for name, c := range map[string]struct {
		doc  evidence.Document
		want bool
	}{
		"signed pass":  {documentOf(image, evidence.Signed, evidence.Passed, "k", sha("1")), true},
		"unsigned":     {documentOf(image, evidence.Unsigned, evidence.Passed, "k", sha("1")), false},
		"foreign":      {documentOf(image, evidence.Foreign, evidence.Passed, "k", sha("1")), false},
		"tampered":     {documentOf(image, evidence.Tampered, evidence.Passed, "k", sha("1")), false},
		"failed":       {documentOf(image, evidence.Signed, evidence.Failed, "k", sha("1")), false},
		"another key":  {documentOf(image, evidence.Signed, evidence.Passed, "k2", sha("1")), false},
		"another kind": {documentOf(evidence.KindProof, evidence.Signed, evidence.Passed, "k", sha("1")), false},
	} {
		r := withDocuments([]evidence.Document{c.doc})
		if got := r.Evidenced(image, "k"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if _, chosen := r.Documents.Of(image); chosen != c.want {
			t.Errorf("%s: later steps refer to it: %v", name, chosen)
		}
	}
}

// The artifact is proven only if the proof that the build uses is a signed pass about
// the same bytes.
func TestProvenNow(t *testing.T) {
	const proof = evidence.KindProof
	for name, c := range map[string]struct {
		doc  evidence.Document
		want bool
	}{
		"these bytes": {documentOf(proof, evidence.Signed, evidence.Passed, "k", sha("1")), true},
		"other bytes": {documentOf(proof, evidence.Signed, evidence.Passed, "k", sha("2")), false},
		"unsigned":    {documentOf(proof, evidence.Unsigned, evidence.Passed, "k", sha("1")), false},
		"failed":      {documentOf(proof, evidence.Unsigned, evidence.Failed, "k", sha("1")), false},
	} {
		r := withDocuments(nil)
		if r.provenNow(sha("1")) {
			t.Fatal("proven without a proof")
		}
		r.Documents.Add(c.doc)
		if got := r.provenNow(sha("1")); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A step is done if its output is complete and signed evidence is about a file of it;
// the record beside the files alone is not enough.
func TestDone(t *testing.T) {
	l := line(t, &guest.Local{})
	k := record.Key("inputs")
	kernel := Step{Name: StepKernel, Key: k, Evidence: evidence.KindKernel}
	out, err := l.Outputs(evidence.KindKernel).Make(StepKernel, k, "b1", func(dir string) (any, error) {
		write(t, filepath.Join(dir, "vmlinuz"), "kernel")
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pass := documentOf(evidence.KindKernel, evidence.Signed, evidence.Passed, k, out.Files["vmlinuz"])
	unsigned, other := pass, documentOf(evidence.KindKernel, evidence.Signed, evidence.Passed, k, sha("9"))
	unsigned.Trust = evidence.Unsigned
	for name, c := range map[string]struct {
		known []evidence.Document
		opt   Options
		want  bool
	}{
		"evidence of its file": {[]evidence.Document{pass}, Options{}, true},
		"no evidence":          {nil, Options{}, false},
		"no signature":         {[]evidence.Document{unsigned}, Options{}, false},
		"evidence of another":  {[]evidence.Document{other}, Options{}, false},
		"forced":               {[]evidence.Document{pass}, Options{Force: []string{StepKernel}}, false},
		"another step forced":  {[]evidence.Document{pass}, Options{Force: []string{StepImage}}, true},
	} {
		r := on(l, c.known)
		r.opt = c.opt
		if got := r.done(kernel); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	time.Sleep(20 * time.Millisecond) // the file system's clock ticks every few ms
	write(t, out.File("vmlinuz"), "another")
	if on(l, []evidence.Document{pass}).done(kernel) {
		t.Error("done with a file that was changed")
	}
}
