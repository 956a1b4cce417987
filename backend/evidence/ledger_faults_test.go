package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/event"
)

// folder is a build of a ledger in a directory of the test's own.
func folder(t *testing.T) (Ledger, Build) {
	t.Helper()
	l := Ledger{t.TempDir()}
	b, err := l.Build("debian-12-arm64", "20261124-000000-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	return l, b
}

// A changed document keeps its place in kind, target and time, by its file: the
// row that it belongs to must show it.
func TestTamperedIsOrdered(t *testing.T) {
	s := signer(t)
	_, b := folder(t)
	pass, err := b.Include(t.Context(), author(s), sealed(t, s, Passed))
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC)
	for name, text := range map[string]string{"cut short": "{", "another's content": string(sealed(t, s, Failed).Envelope)} {
		if err := os.WriteFile(pass.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(pass.Path, when, when); err != nil {
			t.Fatal(err)
		}
		docs, err := b.Evidence(context.Background(), KeyOf(s))
		if err != nil || len(docs) != 1 {
			t.Fatalf("%s: %d documents, %v", name, len(docs), err)
		}
		d := docs[0]
		if d.Trust != Tampered || !d.Unbelievable() || Boots(d) {
			t.Errorf("%s: trust %d", name, d.Trust)
		}
		if h := d.Head; h.Kind != KindProof || h.Target != b.Target || h.Build != b.ID || !h.At.Equal(when) || d.Path != pass.Path {
			t.Errorf("%s: placed as %+v in %s", name, h, d.Path)
		}
	}
}

// A file that cannot be read is evidence that cannot be believed, and no error
// of the whole ledger.
func TestUnreadableDocument(t *testing.T) {
	_, b := folder(t)
	if err := os.MkdirAll(b.evidencePath("proof-000000000000"), 0o700); err != nil { // a folder in the file's place
		t.Fatal(err)
	}
	docs, err := b.Evidence(context.Background(), Keys{})
	if err != nil || len(docs) != 1 || docs[0].ProblemCause() != CauseUnreadable || docs[0].Head.Kind != KindProof {
		t.Errorf("%+v, %v", docs, err)
	}
	if docs[0].Subject().SHA256() != "" {
		t.Errorf("it is about %+v", docs[0].Subject())
	}
	if err := docs[0].Decode(&Proof{}); err == nil || !strings.Contains(err.Error(), "proof-000000000000") {
		t.Errorf("decoded: %v", err)
	}
}

// What is missing is empty; what is in the way is an error that names it.
func TestLedgerFaults(t *testing.T) {
	ctx, s := context.Background(), signer(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none, blocked := Ledger{filepath.Join(t.TempDir(), "none")}, Ledger{file}
	for name, read := range map[string]func(Ledger) (int, error){
		"targets": func(l Ledger) (int, error) { n, err := l.Targets(); return len(n), err },
		"builds":  func(l Ledger) (int, error) { b, err := l.Builds("t"); return len(b), err },
		"newest":  func(l Ledger) (int, error) { d, err := l.Newest(ctx, "t", KeyOf(s)); return len(d), err },
		"evidence": func(l Ledger) (int, error) {
			d, err := Build{"t", "b", l.Dir}.Evidence(ctx, KeyOf(s))
			return len(d), err
		},
		"journal": func(l Ledger) (int, error) { e, err := Build{"t", "b", l.Dir}.Journal(); return len(e), err },
		"add": func(l Ledger) (int, error) {
			if l == none {
				return 0, nil // adding makes the folder
			}
			_, err := Build{"t", "b", filepath.Join(l.Dir, "t", "b")}.Include(ctx, author(s), sealed(t, s, Passed))
			return 0, err
		},
	} {
		if n, err := read(none); n != 0 || err != nil {
			t.Errorf("%s of a ledger that is not there: %d, %v", name, n, err)
		}
		if _, err := read(blocked); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s behind a file: %v", name, err)
		}
	}
}

// Targets and Builds list folders alone, in order, and leave out names that no
// build has.
func TestLists(t *testing.T) {
	l := Ledger{t.TempDir()}
	for _, dir := range []string{"debian-13-arm64/20260102-000000-aaaa", "debian-12-arm64/20260102-000000-bbbb", "debian-12-arm64/20260101-000000-cccc", "debian-12-arm64/.making"} {
		if err := os.MkdirAll(filepath.Join(l.Dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"README", "debian-12-arm64/20260103-000000-dddd"} {
		if err := os.WriteFile(filepath.Join(l.Dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := l.Targets(); err != nil || !slices.Equal(names, []string{"debian-12-arm64", "debian-13-arm64"}) {
		t.Errorf("targets %v, %v", names, err)
	}
	builds, err := l.Builds("debian-12-arm64")
	if err != nil || len(builds) != 2 || builds[0].ID != "20260101-000000-cccc" || builds[1].ID != "20260102-000000-bbbb" {
		t.Errorf("builds %+v, %v", builds, err)
	}
}

// A build's journal lies beside its evidence, its logs in a folder.
func TestJournal(t *testing.T) {
	_, b := folder(t)
	j, err := event.OpenJournal(b.JournalPath(), b.Target, b.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Add(event.Event{Kind: event.BuildStarted}), j.Close()); err != nil {
		t.Fatal(err)
	}
	if events, err := b.Journal(); err != nil || len(events) != 1 || events[0].Build != b.ID {
		t.Errorf("%+v, %v", events, err)
	}
	if got, want := b.LogPath("kernel.log"), filepath.Join(b.Dir, "logs", "kernel.log"); got != want {
		t.Errorf("log %s, want %s", got, want)
	}
}

// An id is not found, or is ambiguous: both say what to do.
func TestFindNames(t *testing.T) {
	ctx, s := context.Background(), signer(t)
	l, b := folder(t)
	for _, v := range []Verdict{Passed, Failed} {
		if _, err := b.Include(t.Context(), author(s), sealed(t, s, v)); err != nil {
			t.Fatal(err)
		}
	}
	var missing *NotFoundError
	if _, err := l.Find(ctx, KeyOf(s), "kernel-0"); !errors.As(err, &missing) || missing.ErrorClass() != cause.Input || !strings.Contains(err.Error(), "`ingot status` lists the ids") {
		t.Errorf("unknown id: %v", err)
	}
	if _, err := l.Find(ctx, KeyOf(s), "proof-"); err == nil || errors.As(err, &missing) || !strings.Contains(err.Error(), `"proof-" is ambiguous`) {
		t.Errorf("an id of two documents: %v", err)
	}
	if err := os.Mkdir(b.evidencePath("image-000000000000"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find(ctx, KeyOf(s), "image"); err == nil || !strings.Contains(err.Error(), "image-000000000000.json") {
		t.Errorf("a folder in the document's place: %v", err)
	}
}

// A pass that is recorded again has the new head, the old content and the old
// document's id, and is a document of its own.
func TestRestate(t *testing.T) {
	s := signer(t)
	old := sealed(t, s, Passed)
	head := old.Head
	head.Build, head.At, head.Cause = "later", time.Unix(9, 0).UTC(), ""
	head, predicate, err := old.Restate(head)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Seal(context.Background(), s, old.Subject(), head, predicate)
	if err != nil {
		t.Fatal(err)
	}
	got := Open(context.Background(), again.Envelope, KeyOf(s), again.ID)
	var p Proof
	if err := got.Decode(&p); err != nil || got.Trust != Signed || got.ID == old.ID || p.Artifact != "x.qcow2" || p.Build != "later" || p.Restates != old.ID {
		t.Errorf("%+v, trust %d, %v", p, got.Trust, err)
	}
	if _, _, err := (Document{ID: "proof-1"}).Restate(head); err == nil || !strings.Contains(err.Error(), "proof-1") {
		t.Errorf("a document without a predicate: %v", err)
	}
}

// Only a signed passed proof is evidence of a boot.
func TestBoots(t *testing.T) {
	good := Document{Trust: Signed, Head: Head{Kind: KindProof, Verdict: Passed}}
	for name, c := range map[string]struct {
		change func(*Document)
		want   bool
	}{
		"signed pass": {func(*Document) {}, true},
		"unsigned":    {func(d *Document) { d.Trust = Unsigned }, false},
		"foreign":     {func(d *Document) { d.Trust = Foreign }, false},
		"tampered":    {func(d *Document) { d.Trust = Tampered }, false},
		"failed":      {func(d *Document) { d.Head.Verdict = Failed }, false},
		"no verdict":  {func(d *Document) { d.Head.Verdict = "" }, false},
		"an artifact": {func(d *Document) { d.Head.Kind = KindArtifact }, false},
	} {
		d := good
		c.change(&d)
		if got := Boots(d); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A document needs a subject, and a predicate that can be written.
func TestSealRefuses(t *testing.T) {
	s, head := signer(t), Head{Kind: KindProof, Target: "t", Verdict: Passed}
	if _, err := Seal(context.Background(), s, Subject{Name: "x"}, head, head); err == nil || !strings.Contains(err.Error(), "evidence Proof of t: the subject has no sha256") {
		t.Errorf("no digest: %v", err)
	}
	subject := Subject{Name: "x", Digest: map[string]string{"sha256": strings.Repeat("ab", 32)}}
	if _, err := Seal(context.Background(), s, subject, head, json.RawMessage("{")); err == nil || !strings.Contains(err.Error(), "evidence Proof") {
		t.Errorf("broken predicate: %v", err)
	}
}

// A statement counts in the folder of its target and build alone: a copy of a ledger's
// folder, or a link to it, gives another target nothing.
func TestMisplaced(t *testing.T) {
	s := signer(t)
	l := Ledger{Dir: t.TempDir()}
	home, err := l.Build("built", "20260101-000000-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	head := Head{APIVersion: "ingot/v1", Kind: KindProof, Target: home.Target, Build: home.ID, At: time.Now().UTC(), Verdict: Passed, InputKey: "k"}
	d, err := Seal(t.Context(), s, Subject{Name: "x", Digest: map[string]string{"sha256": strings.Repeat("a", 64)}}, head, Proof{Head: head})
	if err != nil {
		t.Fatal(err)
	}
	if d, err = home.Include(t.Context(), author(s), d); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("built", filepath.Join(l.Dir, "linked")); err != nil {
		t.Fatal(err)
	}
	for _, copied := range []string{"copied/" + home.ID, "built/20260102-000000-bbbb"} {
		if err := os.CopyFS(filepath.Join(l.Dir, filepath.FromSlash(copied)), os.DirFS(home.Dir)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		target, build string
		want          Trust
	}{{"built", home.ID, Signed}, {"linked", home.ID, Tampered}, {"copied", home.ID, Tampered}, {"built", "20260102-000000-bbbb", Tampered}} {
		b, err := l.Build(c.target, c.build)
		if err != nil {
			t.Fatal(err)
		}
		docs, err := b.Evidence(t.Context(), KeyOf(s))
		if err != nil || len(docs) != 1 {
			t.Fatalf("%s/%s: %d documents, %v", c.target, c.build, len(docs), err)
		}
		got := docs[0]
		if got.Trust != c.want || c.want == Tampered && (got.ProblemCause() != CauseMisplaced || got.Head.Target != c.target || got.Head.Build != c.build) {
			t.Errorf("%s/%s: trust %d, %s, %+v", c.target, c.build, got.Trust, got.Problem, got.Head)
		}
	}
	if err := os.RemoveAll(home.Dir); err != nil {
		t.Fatal(err)
	}
	if found, err := l.Find(t.Context(), KeyOf(s), d.ID); err != nil || found.Trust != Tampered {
		t.Errorf("found in a wrong folder: trust %d, %v", found.Trust, err)
	}
}

// A named pipe, a device and a huge file in a folder of evidence are unreadable
// documents, and none of them is waited for or read whole.
func TestOddFilesInLedger(t *testing.T) {
	b, err := Ledger{Dir: t.TempDir()}.Build("t", "b")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.Dir, "evidence")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "proof-000000000002.json")
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "proof-000000000000.json"), 0o600), os.Symlink("/dev/zero", filepath.Join(dir, "proof-000000000001.json")),
		os.WriteFile(huge, nil, 0o600), os.Truncate(huge, 10<<30)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	docs, err := b.Evidence(t.Context(), nil)
	if err != nil || len(docs) != 3 || time.Since(began) > time.Minute {
		t.Fatalf("%d documents after %s, %v", len(docs), time.Since(began), err)
	}
	for _, d := range docs {
		if d.Trust != Tampered || d.ProblemCause() != CauseUnreadable {
			t.Errorf("%s: trust %d, %s", d.ID, d.Trust, d.Problem)
		}
	}
}
