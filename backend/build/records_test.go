package build

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/build/release"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/qemu"
)

// begun returns a build of the shipped target before its first step.
func begun(t *testing.T, l *Line) *Session {
	t.Helper()
	recipe, err := l.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := l.Targets.Lock(recipe)
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Ledger.Builds(recipe.Name)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Duration(len(before)) * time.Second // ids are ordered by the second
	r, err := l.Begin(t.Context(), Options{ID: record.NewID(time.Now().Add(later)), Target: recipe.Name})
	if err != nil {
		t.Fatal(err)
	}
	r.Lock, r.guest = lock, &opened{guest: &guest.Local{}}
	t.Cleanup(func() { _ = r.End(nil) })
	return r
}

// sha returns a digest of the given hex digit.
func sha(digit string) string { return strings.Repeat(digit, 64) }

// about returns the subject of a file with the digest.
func about(name, sha256 string) evidence.Subject {
	return evidence.Subject{Name: name, Digest: map[string]string{"sha256": sha256}}
}

// Steps run concurrently and downloads report from six goroutines: `go test -race`
// checks that shared data is guarded.
func TestSideBySide(t *testing.T) {
	l := line(t, &guest.Local{})
	l.Bus = &event.Bus{}
	events, stop := l.Bus.Follow()
	defer stop()
	r := begun(t, l)
	report := r.Progress("fetch")
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
				head := r.Passed(kind, sha(digit))
				if _, err := r.Keep(context.Background(), about("x", sha(digit)), head, head); err != nil {
					t.Error(err)
				}
				if !r.Evidenced(kind, sha(digit)) {
					t.Errorf("the %s just kept is not known", kind)
				}
			}
		})
	}
	wg.Wait()
	for kind, digit := range map[evidence.Kind]string{evidence.KindKernel: "1", evidence.KindImage: "2"} {
		if d, ok := r.Documents.Of(kind); !ok || d.Subject().SHA256() != sha(digit) {
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

// A prove step that failed or was cancelled is recorded about the artifact, and an
// earlier pass does not make the step done.
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
		r.Recipe.Arch = c.arch
		a := release.Artifact{Name: "a.qcow2", Format: "qcow2", SHA256: sha("1")}
		head := r.Passed(evidence.KindProof, "k")
		if _, err := r.Keep(context.Background(), a.Subject(), head, head); err != nil || !(&prover{Session: r}).stillProven(a.SHA256, "k") {
			t.Fatalf("%s: the pass is not known: %v", name, err)
		}
		r.arts = release.Artifacts{Files: []release.Artifact{a}}
		p := &prover{Session: r}
		_, err := p.todo(c.ctx, nil)
		if err == nil {
			tools := Step{Name: stepTools, Inputs: record.Inputs{"step": "tools"}, Key: record.Inputs{"step": "tools"}.Key()}
			_, _ = p.tools(c.ctx, tools)
			_, err = p.run(c.ctx, nil)
		}
		if err == nil {
			t.Errorf("%s: it passed", name)
		}
		d := documents(t, l, r.Recipe.Name)[evidence.KindProof]
		if d.Head.Verdict != c.want || d.Head.Cause != c.cause || d.Subject().SHA256() != a.SHA256 {
			t.Errorf("%s: %s %s about %s", name, d.Head.Verdict, d.Head.Cause, d.Subject().SHA256())
		}
		if (&prover{Session: r}).stillProven(a.SHA256, "k") || r.provenNow(a.SHA256) {
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
		r := withDocuments(append([]evidence.Document{pass}, c.later...))
		if got := (&prover{Session: r}).stillProven(sha("1"), "k"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Of several formats each has its own evidence in the release, whether this build or an
// earlier one made it.
func TestEveryArtifactsDocumentIsReleased(t *testing.T) {
	l := line(t, &guest.Local{})
	img := outputs.Output{Meta: []byte(`{"size": 1}`), Key: sha("9"), Files: map[string]string{"disk.raw": sha("9")}}
	arts := release.Artifacts{Version: "20260101-0000", Files: []release.Artifact{{Name: "d.qcow2", Format: "qcow2", SHA256: sha("1")}, {Name: "d.raw", Format: "raw", SHA256: sha("2")}, {Name: "d.tar.zst", Format: "tar.zst", SHA256: sha("3")}}}
	in := record.Inputs{"step": "export"}
	first := begun(t, l)
	for _, a := range arts.Files {
		if err := (exporter{first}).keepArtifact(context.Background(), in, img, a, family.Kernel{}, &evidence.Leaks{}); err != nil {
			t.Fatal(err)
		}
	}
	second := begun(t, l)
	if !second.Evidenced(evidence.KindArtifact, in.Key()) {
		t.Fatal("the export of before is not known")
	}
	for name, r := range map[string]*Session{"the same build": first, "the next build": second} {
		rel, err := r.Releasing().Release(arts, false)
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
	if _, err := second.Releasing().Release(arts, false); err == nil || !strings.Contains(err.Error(), "d.raw") {
		t.Errorf("a file without evidence was released: %v", err)
	}
}

// If a step is done but a newer document exists, its pass is recorded again: the status
// uses the newest documents. A pass is not recorded twice.
func TestStandingPassesAreRestated(t *testing.T) {
	l := line(t, &guest.Local{})
	in, other := record.Inputs{"step": "export"}, record.Inputs{"step": "export", "x": "y"}
	img := outputs.Output{Meta: []byte(`{"size": 1}`), Files: map[string]string{"disk.raw": sha("9")}}
	first := begun(t, l)
	for _, a := range []release.Artifact{{Name: "d.qcow2", Format: "qcow2", SHA256: sha("1"), Size: 1 << 40}, {Name: "d.tar.zst", Format: "tar.zst", SHA256: sha("2")}} {
		if err := (exporter{first}).keepArtifact(context.Background(), in, img, a, family.Kernel{}, &evidence.Leaks{}); err != nil {
			t.Fatal(err)
		}
	}
	restated := func(what string, want int) *Session {
		t.Helper()
		r := begun(t, l)
		if !r.Evidenced(evidence.KindArtifact, in.Key()) {
			t.Fatalf("%s: the pass is not known", what)
		}
		if err := r.Restate(context.Background(), evidence.KindArtifact); err != nil {
			t.Fatal(err)
		}
		docs, err := r.Folder.Evidence(context.Background(), l.Keys)
		if err != nil || len(docs) != want {
			t.Fatalf("%s: %d documents, want %d: %v", what, len(docs), want, err)
		}
		for i, d := range docs {
			var a evidence.Artifact
			if err := d.Decode(&a); err != nil || d.Trust != evidence.Signed || d.Head.Build != r.Folder.ID || d.Head.Restates == "" || a.ImageDigest != sha("9") || d.Subject().SHA256() != sha([]string{"1", "2"}[i]) {
				t.Errorf("%s: %+v, %v", what, d.Head, err)
			}
			if i == 0 && a.Size != 1<<40 {
				t.Errorf("%s: size %d", what, a.Size)
			}
		}
		return r
	}
	r := restated("nothing since", 0)
	_ = r.StepFailed(context.Background(), StepExport, in.Key(), evidence.KindArtifact, errors.New("no luck"))
	r = restated("failed since", 2)
	restated("said already", 0)
	if err := (exporter{r}).keepArtifact(context.Background(), other, img, release.Artifact{Name: "e", SHA256: sha("3")}, family.Kernel{}, &evidence.Leaks{}); err != nil {
		t.Fatal(err)
	}
	restated("other inputs since", 2)
}
