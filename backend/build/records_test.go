package build

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/qemu"
)

// begun is a build of the shipped target that stands before its first step.
func begun(t *testing.T, l *Line) *run {
	t.Helper()
	recipe, err := l.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := l.Targets.Lock(recipe)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Line: l, recipe: recipe, lock: lock, guest: &guest.Local{}}
	before, err := l.Ledger.Builds(recipe.Name)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Duration(len(before)) * time.Second // ids are ordered by the second
	if r.folder, err = l.Ledger.Build(recipe.Name, NewID(time.Now().Add(later))); err != nil {
		t.Fatal(err)
	}
	known, err := l.ledger(context.Background(), recipe.Name)
	if err != nil {
		t.Fatal(err)
	}
	r.records = newRecords(known)
	if r.journal, err = event.OpenJournal(r.folder.JournalPath(), recipe.Name, r.folder.ID, l.Bus); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.journal.Close() })
	return r
}

// sha is a digest of the given hex digit.
func sha(digit string) string { return strings.Repeat(digit, 64) }

// about is the subject of a file with the digest.
func about(name, sha256 string) evidence.Subject {
	return evidence.Subject{Name: name, Digest: map[string]string{"sha256": sha256}}
}

// Steps run side by side and downloads report from six goroutines: `go test
// -race` sees whether what they share is guarded.
func TestSideBySide(t *testing.T) {
	l := line(t, &guest.Local{})
	l.Bus = &event.Bus{}
	events, stop := l.Bus.Follow()
	defer stop()
	r := begun(t, l)
	report := r.progress("fetch")
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 6 {
		wg.Go(func() {
			for range 100 {
				report(done.Add(1), 600)
			}
		})
	}
	for kind, digit := range map[evidence.Kind]string{evidence.KindKernel: "1", evidence.KindImage: "2"} {
		wg.Go(func() {
			for range 20 {
				head := r.passed(kind, sha(digit))
				if _, err := r.keep(context.Background(), about("x", sha(digit)), head, head); err != nil {
					t.Error(err)
				}
				if !r.evidenced(kind, sha(digit)) {
					t.Errorf("the %s just kept is not known", kind)
				}
			}
		})
	}
	wg.Wait()
	for kind, digit := range map[evidence.Kind]string{evidence.KindKernel: "1", evidence.KindImage: "2"} {
		if d, ok := r.records.of(kind); !ok || d.Subject().SHA256() != sha(digit) {
			t.Errorf("%s: %+v", kind, d.Head)
		}
	}
	stop()
	last := int64(0)
	for e := range events {
		if e.Kind == event.Progress {
			last = max(last, e.Done)
		}
	}
	if last != 600 {
		t.Errorf("progress ended at %d of 600", last)
	}
}

// A prove step that failed or was cancelled is recorded about the artifact, and
// the pass of before does not make the step done.
func TestFailedProveIsAboutTheArtifact(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		arch  string
		want  evidence.Verdict
		cause string
	}{
		"no QEMU":   {context.Background(), "z80", evidence.Failed, "qemu.binary-missing"},
		"cancelled": {cancelled, "arm64", evidence.Cancelled, "evidence.cancelled"},
	} {
		if _, err := home.LookTool(qemu.Binary(c.arch)); c.cause != "qemu.binary-missing" && err != nil {
			t.Logf("%s: left out: %v", name, err)
			continue
		}
		l := line(t, &guest.Local{})
		r := begun(t, l)
		r.recipe.Arch = c.arch
		a := artifact{Name: "a.qcow2", Format: "qcow2", SHA256: sha("1")}
		head := r.passed(evidence.KindProof, "k")
		if _, err := r.keep(context.Background(), a.subject(), head, head); err != nil || !r.stillProven(a.SHA256, "k") {
			t.Fatalf("%s: the pass is not known: %v", name, err)
		}
		if err := r.prove(c.ctx, artifacts{Files: []artifact{a}}, Keys{}); err == nil {
			t.Errorf("%s: it passed", name)
		}
		d := documents(t, l, r.recipe.Name)[evidence.KindProof]
		if d.Head.Verdict != c.want || d.Head.Cause != c.cause || d.Subject().SHA256() != a.SHA256 {
			t.Errorf("%s: %s %s about %s", name, d.Head.Verdict, d.Head.Cause, d.Subject().SHA256())
		}
		if r.stillProven(a.SHA256, "k") || r.provenNow(a.SHA256) {
			t.Errorf("%s: the step counts as done", name)
		}
	}
}

// Documents about other bytes, or of another key, do not change what is proven.
func TestStillProven(t *testing.T) {
	proof := func(trust evidence.Trust, v evidence.Verdict, key, digit string) evidence.Document {
		return evidence.Document{Trust: trust, Head: evidence.Head{Kind: evidence.KindProof, Verdict: v, InputKey: key}, Statement: evidence.Statement{Subject: []evidence.Subject{about("a", sha(digit))}}}
	}
	pass := proof(evidence.Signed, evidence.Passed, "k", "1")
	for name, c := range map[string]struct {
		later []evidence.Document
		want  bool
	}{
		"nothing later":             {nil, true},
		"other bytes failed":        {[]evidence.Document{proof(evidence.Unsigned, evidence.Failed, "k2", "2")}, true},
		"these failed":              {[]evidence.Document{proof(evidence.Unsigned, evidence.Failed, "k", "1")}, false},
		"these failed, then passed": {[]evidence.Document{proof(evidence.Unsigned, evidence.Failed, "k", "1"), pass}, true},
		"passed on another QEMU":    {[]evidence.Document{proof(evidence.Signed, evidence.Passed, "k2", "1")}, false},
		"tampered":                  {[]evidence.Document{{Trust: evidence.Tampered, Head: evidence.Head{Kind: evidence.KindProof}}}, false},
	} {
		r := &run{records: newRecords(append([]evidence.Document{pass}, c.later...))}
		if got := r.stillProven(sha("1"), "k"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Of several formats every one has its own evidence in the release; made now,
// or by a build before.
func TestEveryArtifactsDocumentIsReleased(t *testing.T) {
	l := line(t, &guest.Local{})
	img := output{Key: sha("9"), Files: map[string]string{"disk.raw": sha("9")}}
	arts := artifacts{Version: "20260101-0000", Files: []artifact{{Name: "d.qcow2", Format: "qcow2", SHA256: sha("1")}, {Name: "d.raw", Format: "raw", SHA256: sha("2")}, {Name: "d.tar.zst", Format: "tar.zst", SHA256: sha("3")}}}
	in := Inputs{"step": "export"}
	first := begun(t, l)
	for _, a := range arts.Files {
		if err := first.keepArtifact(context.Background(), in, img, a, image.Kernel{}, &evidence.Leaks{}); err != nil {
			t.Fatal(err)
		}
	}
	second := begun(t, l)
	if !second.evidenced(evidence.KindArtifact, in.Key()) {
		t.Fatal("the export of before is not known")
	}
	for name, r := range map[string]*run{"the same build": first, "the next build": second} {
		rel, err := r.release(arts, false)
		if err != nil {
			t.Fatal(err)
		}
		released, keys := map[string]bool{}, false
		for _, f := range rel.Files {
			keys = keys || f.Name == "evidence/"+l.Signer.KeyID()+".pub"
			if strings.HasPrefix(f.Name, "evidence/artifact-") {
				d := evidence.Open(context.Background(), f.Data, l.Keys, "")
				released[d.Subject().SHA256()] = d.Trust == evidence.Signed
			}
		}
		if !keys {
			t.Errorf("%s: the key of the documents is not in the release", name)
		}
		for _, a := range arts.Files {
			if !released[a.SHA256] {
				t.Errorf("%s: %s has no evidence in the release", name, a.Name)
			}
		}
	}
	arts.Files[1].SHA256 = sha("4")
	if _, err := second.release(arts, false); err == nil || !strings.Contains(err.Error(), "d.raw") {
		t.Errorf("a file without evidence was released: %v", err)
	}
}

// A step that is found done after something else was recorded says so anew: the
// status is about the newest documents. Nothing is said twice.
func TestStandingPassesAreRestated(t *testing.T) {
	l := line(t, &guest.Local{})
	in, other := Inputs{"step": "export"}, Inputs{"step": "export", "x": "y"}
	img := output{Files: map[string]string{"disk.raw": sha("9")}}
	first := begun(t, l)
	for _, a := range []artifact{{Name: "d.qcow2", Format: "qcow2", SHA256: sha("1"), Size: 1 << 40}, {Name: "d.tar.zst", Format: "tar.zst", SHA256: sha("2")}} {
		if err := first.keepArtifact(context.Background(), in, img, a, image.Kernel{}, &evidence.Leaks{}); err != nil {
			t.Fatal(err)
		}
	}
	restated := func(what string, want int) *run {
		t.Helper()
		r := begun(t, l)
		if !r.evidenced(evidence.KindArtifact, in.Key()) {
			t.Fatalf("%s: the pass is not known", what)
		}
		if err := r.restate(context.Background(), evidence.KindArtifact); err != nil {
			t.Fatal(err)
		}
		docs, err := r.folder.Evidence(context.Background(), l.Keys)
		if err != nil || len(docs) != want {
			t.Fatalf("%s: %d documents, want %d: %v", what, len(docs), want, err)
		}
		for i, d := range docs {
			var a evidence.Artifact
			if err := d.Decode(&a); err != nil || d.Trust != evidence.Signed || d.Head.Build != r.folder.ID || d.Head.Restates == "" || a.ImageDigest != sha("9") || d.Subject().SHA256() != sha([]string{"1", "2"}[i]) {
				t.Errorf("%s: %+v, %v", what, d.Head, err)
			}
			if i == 0 && a.Size != 1<<40 {
				t.Errorf("%s: size %d", what, a.Size)
			}
		}
		return r
	}
	r := restated("nothing since", 0)
	_ = r.stepFailed(context.Background(), StepExport, in.Key(), evidence.KindArtifact, errors.New("no luck"))
	r = restated("failed since", 2)
	restated("said already", 0)
	if err := r.keepArtifact(context.Background(), other, img, artifact{Name: "e", SHA256: sha("3")}, image.Kernel{}, &evidence.Leaks{}); err != nil {
		t.Fatal(err)
	}
	restated("other inputs since", 2)
}
