package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func author(s Signer) Author { return Author{Signer: s, Keys: KeyOf(s)} }

// chain is a ledger of target "t" with a pass and a later failure of the same bytes,
// each in a build of its own.
type chain struct {
	Ledger
	author       Author
	pass, failed Document
}

func record(t *testing.T, l Ledger, a Author, build string, v Verdict, at time.Time) Document {
	t.Helper()
	b, err := l.Build("t", build)
	if err != nil {
		t.Fatal(err)
	}
	head := Head{APIVersion: "ingot/v1", Kind: KindProof, Target: "t", Build: build, At: at, Verdict: v, InputKey: "k"}
	d, err := b.Record(t.Context(), a, Subject{Name: "x", Digest: map[string]string{"sha256": strings.Repeat("a", 64)}}, head, Proof{Head: head})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newChain(t *testing.T) chain {
	t.Helper()
	c := chain{Ledger: Ledger{Dir: t.TempDir()}, author: author(signer(t))}
	now := time.Now().UTC()
	c.pass = record(t, c.Ledger, c.author, "20260101-000000-aaaa", Passed, now)
	c.failed = record(t, c.Ledger, c.author, "20260102-000000-aaaa", Failed, now)
	return c
}

// newest is the newest document of the ledger, as a status sees it.
func (c chain) newest(t *testing.T) Document {
	t.Helper()
	docs, err := c.Newest(t.Context(), "t", c.author.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) == 0 {
		return Document{}
	}
	return docs[len(docs)-1]
}

func (c chain) head() string { return c.headPath("t") }

// A document that was removed is missing, the newest one too: what stands before it
// does not come back. Each way to remove it is told.
func TestMissing(t *testing.T) {
	for name, c := range map[string]struct {
		harm  func(chain) error
		cause string
	}{
		"nothing":             {func(chain) error { return nil }, ""},
		"the newest":          {func(c chain) error { return os.Remove(c.failed.Path) }, CauseMissing},
		"its build":           {func(c chain) error { return os.RemoveAll(filepath.Dir(filepath.Dir(c.failed.Path))) }, CauseMissing},
		"the newest and head": {func(c chain) error { return errors.Join(os.Remove(c.failed.Path), os.Remove(c.head())) }, CauseHeadLost},
		"another target's head": {func(c chain) error {
			other := c.Ledger
			b, err := other.Build("u", "20260101-000000-aaaa")
			return errors.Join(err, b.Begin(context.Background(), c.author), os.Remove(c.failed.Path), os.Rename(other.headPath("u"), c.head()))
		}, CauseHeadLost},
		"a changed head": {func(c chain) error {
			data, err := os.ReadFile(c.head())
			return errors.Join(err, os.Remove(c.failed.Path), os.WriteFile(c.head(), []byte(strings.Replace(string(data), `"sig": "`, `"sig": "AAAA`, 1)), 0o600))
		}, CauseHeadLost},
		"a stranger's head": {func(c chain) error {
			stranger := author(signer(t))
			return errors.Join(os.Remove(c.failed.Path), os.Remove(c.head()), c.writeHead(context.Background(), stranger, &head{Target: "t", Number: 1, Builds: []headBuild{{ID: c.pass.Head.Build, Documents: map[string]int{c.pass.ID: 1}}}}))
		}, CauseHeadLost},
		"a head that is a pipe": {func(c chain) error { return errors.Join(os.Remove(c.head()), os.Mkdir(c.head(), 0o700)) }, CauseHeadLost},
	} {
		t.Run(name, func(t *testing.T) {
			l := newChain(t)
			if err := c.harm(l); err != nil {
				t.Fatal(err)
			}
			d := l.newest(t)
			if d.ProblemCause() != c.cause || d.Incomplete() != (c.cause != "") || (d.Trust == Tampered) != (c.cause != "") {
				t.Errorf("%s: trust %d, %q", d.ID, d.Trust, d.Problem)
			}
			if docs, err := l.Newest(t.Context(), "t", l.author.Keys); err != nil || slices.ContainsFunc(docs[len(docs)-1:], func(d Document) bool { return d.Trust == Signed }) {
				t.Errorf("the pass came back: %v, %v", docs, err)
			}
		})
	}
}

// What is put back counts again; a new document counts in any case, and after a lost
// head it is the only one.
func TestRestoredAfterLoss(t *testing.T) {
	c := newChain(t)
	data, err := os.ReadFile(c.failed.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(c.failed.Path), os.WriteFile(c.failed.Path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	if d := c.newest(t); d.ID != c.failed.ID || d.Trust != Unsigned {
		t.Errorf("%s: %s", d.ID, d.Problem)
	}
	if err := errors.Join(os.Remove(c.failed.Path), os.Remove(c.head())); err != nil {
		t.Fatal(err)
	}
	again := record(t, c.Ledger, c.author, "20260103-000000-aaaa", Passed, time.Now())
	if d := c.newest(t); d.ID != again.ID || d.Trust != Signed || d.Head.Number != 2 {
		t.Errorf("%s, number %d: %s", d.ID, d.Head.Number, d.Problem)
	}
	if d, err := c.Find(t.Context(), c.author.Keys, c.pass.ID); err != nil || d.ProblemCause() != CauseUnlisted {
		t.Errorf("a pass before the loss: trust %d, %s, %v", d.Trust, d.Problem, err)
	}
}

// A head that cannot be read now is not replaced: recording fails, and what is recorded
// counts when the head can be read again.
func TestUnreadHeadIsKept(t *testing.T) {
	c := newChain(t)
	kept := filepath.Join(t.TempDir(), "head.json")
	if err := errors.Join(os.Rename(c.head(), kept), os.Symlink(headFile, c.head())); err != nil { // a link to itself: ELOOP
		t.Fatal(err)
	}
	b, err := c.Build("t", "20260103-000000-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Begin(t.Context(), c.author); err == nil || !strings.Contains(err.Error(), c.head()) {
		t.Errorf("a build began: %v", err)
	}
	if err := errors.Join(os.Remove(c.head()), os.Rename(kept, c.head())); err != nil {
		t.Fatal(err)
	}
	if d, err := c.Find(t.Context(), c.author.Keys, c.pass.ID); err != nil || d.Trust != Signed {
		t.Errorf("trust %d, %s, %v", d.Trust, d.Problem, err)
	}
}

// The order is that of the numbers: a pass that a clock ahead dated far into the
// future hides no later failure, nor does its build's id.
func TestOrderIsNoClock(t *testing.T) {
	c := chain{Ledger: Ledger{Dir: t.TempDir()}, author: author(signer(t))}
	ahead := record(t, c.Ledger, c.author, "20990101-000000-aaaa", Passed, time.Now().AddDate(70, 0, 0))
	later := record(t, c.Ledger, c.author, "20260102-000000-aaaa", Failed, time.Now())
	if d := c.newest(t); d.ID != later.ID {
		t.Errorf("the newest is %s, dated %s", d.ID, d.Head.At)
	}
	same := record(t, c.Ledger, c.author, "20260102-000000-aaaa", Passed, time.Now().AddDate(-1, 0, 0))
	if d := c.newest(t); d.ID != same.ID || d.Head.Number != 3 {
		t.Errorf("the newest of one build is %s, number %d", d.ID, d.Head.Number)
	}
	builds, err := c.Builds("t")
	if err != nil || len(builds) != 2 || builds[0].ID != ahead.Head.Build {
		t.Errorf("%v, %v", builds, err)
	}
	begun, err := c.Build("t", "20250101-000000-aaaa")
	if err := errors.Join(err, begun.Begin(t.Context(), c.author), os.MkdirAll(begun.Dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if builds, err = c.Builds("t"); err != nil || builds[len(builds)-1].ID != begun.ID {
		t.Errorf("a build that began last is not the last: %v, %v", builds, err)
	}
}

// A ledger that has no head yet keeps its order until its first new document.
func TestLedgerOfBefore(t *testing.T) {
	s := signer(t)
	c := chain{Ledger: Ledger{Dir: t.TempDir()}, author: author(s)}
	var last Document
	for i, v := range []Verdict{Passed, Failed, Passed} {
		b, err := c.Build("t", fmt.Sprintf("2026010%d-000000-aaaa", i+1))
		if err != nil {
			t.Fatal(err)
		}
		head := Head{APIVersion: "ingot/v1", Kind: KindProof, Target: "t", Build: b.ID, At: time.Unix(int64(i), 0).UTC(), Verdict: v, InputKey: "k"}
		if last, err = Seal(t.Context(), s, Subject{Name: "x", Digest: map[string]string{"sha256": strings.Repeat("a", 64)}}, head, Proof{Head: head}); err != nil {
			t.Fatal(err)
		}
		last.Path = b.evidencePath(last.ID)
		if err := errors.Join(os.MkdirAll(filepath.Dir(last.Path), 0o700), os.WriteFile(last.Path, last.Envelope, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if d := c.newest(t); d.ID != last.ID || d.Trust != Signed {
		t.Errorf("without a head: %s, %s", d.ID, d.Problem)
	}
	if _, err := os.Stat(c.head()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading wrote a head: %v", err)
	}
	if d := record(t, c.Ledger, c.author, "20260104-000000-aaaa", Failed, time.Now()); d.Head.Number != 4 {
		t.Errorf("number %d after three documents", d.Head.Number)
	}
	if err := os.Remove(last.Path); err != nil {
		t.Fatal(err)
	}
	b, _ := c.Build("t", last.Head.Build)
	if docs, err := b.Evidence(t.Context(), c.author.Keys); err != nil || len(docs) != 1 || docs[0].ProblemCause() != CauseMissing {
		t.Errorf("%v, %v", docs, err)
	}
}

// A document that a killed process wrote and did not list counts, and gets its place
// with the next one. A copy of an earlier document does not count.
func TestUnlisted(t *testing.T) {
	c := newChain(t)
	before, err := os.ReadFile(c.head())
	if err != nil {
		t.Fatal(err)
	}
	killed := record(t, c.Ledger, c.author, "20260103-000000-aaaa", Passed, time.Now())
	if err := os.WriteFile(c.head(), before, 0o600); err != nil {
		t.Fatal(err)
	}
	if d := c.newest(t); d.ID != killed.ID || d.Trust != Signed {
		t.Errorf("%s: %s", d.ID, d.Problem)
	}
	next := record(t, c.Ledger, c.author, "20260104-000000-aaaa", Failed, time.Now())
	if next.Head.Number != 4 {
		t.Errorf("number %d", next.Head.Number)
	}
	if d, err := c.Find(t.Context(), c.author.Keys, killed.ID); err != nil || d.Trust != Signed {
		t.Errorf("%s, %v", d.Problem, err)
	}

	// a build that was removed does not come back from a backup
	if err := c.Forget(t.Context(), c.author, "t", []string{killed.Head.Build}, "gc"); err != nil {
		t.Fatal(err)
	}
	if builds, err := c.History(t.Context(), "t", c.author.Keys); err != nil || len(builds.Recorded) != 3 {
		t.Errorf("%v, %v", builds, err)
	}
	if left, err := c.Leftovers(t.Context(), "t"); err != nil || len(left) != 1 || left[0].ID != killed.Head.Build {
		t.Errorf("%v, %v", left, err)
	}
	if d, err := c.Find(t.Context(), c.author.Keys, killed.ID); err != nil || d.ProblemCause() != CauseUnlisted {
		t.Errorf("trust %d, %s, %v", d.Trust, d.Problem, err)
	}
	if h, err := c.readHead(t.Context(), "t", c.author.Keys); err != nil || len(h.Removed) != 1 || h.Removed[0].Documents != 1 || h.Removed[0].Why != "gc" {
		t.Errorf("%+v, %v", h, err)
	}
}

// A key that replaces another one signs the heads again; what the earlier key signs
// afterwards is not listed, and does not count.
func TestDocumentsOfEarlierKey(t *testing.T) {
	c := newChain(t)
	old, fresh := c.author.Signer, signer(t)
	keys := Keys{old.KeyID(): old.Public(), fresh.KeyID(): fresh.Public()}
	if err := c.Resign(t.Context(), Author{fresh, keys}); err != nil {
		t.Fatal(err)
	}
	c.author = Author{fresh, keys}
	if d, err := c.Find(t.Context(), keys, c.pass.ID); err != nil || d.Trust != Signed {
		t.Errorf("listed: %s, %v", d.Problem, err)
	}
	head := Head{APIVersion: "ingot/v1", Kind: KindProof, Target: "t", Build: c.pass.Head.Build, At: time.Now().UTC(), Verdict: Passed, InputKey: "k", Number: 9}
	stolen, err := Seal(t.Context(), old, Subject{Name: "x", Digest: map[string]string{"sha256": strings.Repeat("b", 64)}}, head, Proof{Head: head})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(c.pass.Path), stolen.ID+".json"), stolen.Envelope, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := c.Find(t.Context(), keys, stolen.ID); err != nil || d.ProblemCause() != CauseUnlisted {
		t.Errorf("trust %d, %s, %v", d.Trust, d.Problem, err)
	}
	record(t, c.Ledger, c.author, "20260103-000000-aaaa", Failed, time.Now())
	if d, err := c.Find(t.Context(), keys, stolen.ID); err != nil || d.ProblemCause() != CauseUnlisted {
		t.Errorf("a later document lists it: trust %d, %s, %v", d.Trust, d.Problem, err)
	}
	if _, err := c.readHead(t.Context(), "t", KeyOf(fresh)); err != nil {
		t.Errorf("without the earlier key: %v", err)
	}
}

// Several writers at once give every document a number of its own, and a reader sees
// no document before it is listed.
func TestNumbersOfManyWriters(t *testing.T) {
	c := chain{Ledger: Ledger{Dir: t.TempDir()}, author: author(signer(t))}
	const writers, each = 4, 8
	var wg, readers sync.WaitGroup
	done := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			docs, err := c.Newest(context.Background(), "t", c.author.Keys)
			if err != nil || slices.ContainsFunc(docs, Document.Unbelievable) {
				t.Errorf("%v, %v", docs, err)
				return
			}
		}
	})
	for w := range writers {
		wg.Go(func() {
			b, err := c.Build("t", fmt.Sprintf("2026010%d-000000-aaaa", w+1))
			for i := range each {
				head := Head{APIVersion: "ingot/v1", Kind: KindProof, Target: "t", Build: b.ID, At: time.Unix(int64(i), 0).UTC(), Verdict: Passed, InputKey: "k"}
				if err == nil {
					_, err = b.Record(context.Background(), c.author, Subject{Name: "x", Digest: map[string]string{"sha256": strings.Repeat("a", 64)}}, head, Proof{Head: head})
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()
	h, err := c.readHead(t.Context(), "t", c.author.Keys)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, b := range h.Builds {
		for id, n := range b.Documents {
			if seen[n] {
				t.Errorf("%s has a number twice: %d", id, n)
			}
			seen[n] = true
		}
	}
	if h.Number != writers*each || len(seen) != writers*each {
		t.Errorf("number %d, %d documents", h.Number, len(seen))
	}
}
