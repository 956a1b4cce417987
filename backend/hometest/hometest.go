// Package hometest makes homes for the tests of the rooms.
package hometest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend"
	"ingot/backend/event"
	"ingot/backend/evidence"
)

// Record adds a signed document about text to a build of the first target.
func Record(t *testing.T, b *backend.Backend, build string, kind evidence.Kind, text string, predicate func(evidence.Head) any) {
	t.Helper()
	name := b.Targets.Names()[0]
	head := evidence.Head{APIVersion: "ingot/v1", Kind: kind, Target: name, Build: build, At: time.Now().UTC(), Verdict: evidence.Passed}
	bd, err := b.Ledger.Build(name, build)
	if err != nil {
		t.Fatal(err)
	}
	subject := evidence.Subject{Name: "d.qcow2", Digest: map[string]string{"sha256": DigestOf(text)}}
	if _, err := bd.Record(context.Background(), b.Author(), subject, head, predicate(head)); err != nil {
		t.Fatal(err)
	}
}

// Ledger makes a home with many targets and builds, each build with evidence
// of all seven kinds; signed, so that a status has all to check.
func Ledger(tb testing.TB, targets, builds int) *backend.Backend {
	tb.Helper()
	dir := tb.TempDir()
	tb.Setenv("INGOT_HOME", dir)
	tb.Setenv("INGOT_KEYCHAIN", "off")
	recipes := filepath.Join(dir, "config", "targets")
	if err := os.MkdirAll(recipes, 0o700); err != nil {
		tb.Fatal(err)
	}
	var names []string
	for i := range targets {
		name := fmt.Sprintf("t%03d", i)
		names = append(names, name)
		text := "apiVersion: ingot/v1\nkind: Target\nextends: debian-12-arm64\nlock: debian-12-arm64\nname: " + name + "\n"
		if err := os.WriteFile(filepath.Join(recipes, name+".yaml"), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	b, err := backend.Open(backend.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	for _, n := range names {
		for i := range builds {
			addBuild(tb, b, n, i)
		}
		last, err := b.Ledger.Builds(n)
		if err == nil && len(last) > 0 {
			err = last[len(last)-1].Begin(context.Background(), b.Author()) // gives all documents their numbers
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return b
}

func addBuild(tb testing.TB, b *backend.Backend, name string, i int) {
	tb.Helper()
	at := time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC)
	bd, err := b.Ledger.Build(name, at.Format("20060102-150405")+"-0000")
	if err != nil {
		tb.Fatal(err)
	}
	sum := strings.Repeat(fmt.Sprintf("%02x", i), 32)
	for k, kind := range evidence.Kinds {
		head := evidence.Head{APIVersion: "ingot/v1", Kind: kind, Target: name, Build: bd.ID, At: at.Add(time.Duration(k) * time.Second), Verdict: evidence.Passed, InputKey: "k", Tool: "ingot"}
		var predicate any = head
		if kind == evidence.KindArtifact {
			predicate = evidence.Artifact{Head: head, Name: "a.qcow2", File: "outputs/a.qcow2", ImageDigest: sum}
		}
		d, err := evidence.Seal(context.Background(), b.Signer, evidence.Subject{Name: "x", Digest: map[string]string{"sha256": sum}}, head, predicate)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(bd.Dir, "evidence"), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bd.Dir, "evidence", d.ID+".json"), d.Envelope, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	j, err := event.OpenJournal(bd.JournalPath(), name, bd.ID, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, k := range []event.Kind{event.BuildStarted, event.StepStarted, event.StepFinished, event.BuildFinished} {
		if err := j.Add(event.Event{Kind: k, Step: "kernel", PID: 1, PIDStart: "never"}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		tb.Fatal(err)
	}
}

// Open opens a fresh home, whose keys lie in files.
func Open(t *testing.T) *backend.Backend {
	t.Helper()
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	return Reopen(t)
}

// Reopen opens the home of before afresh, as the next command would.
func Reopen(t *testing.T) *backend.Backend {
	t.Helper()
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// DigestOf is the SHA-256 of a text, in lower-case hex.
func DigestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Within waits half a minute at most for a value from c; what names it in the
// failure.
func Within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}
