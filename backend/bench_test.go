package backend

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
)

// ledgerOf makes a home with many targets and builds, each build with evidence
// of all seven kinds; signed, so that a status has all to check.
func ledgerOf(tb testing.TB, targets, builds int) *Backend {
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
	b, err := Open(Options{})
	if err != nil {
		tb.Fatal(err)
	}
	for _, n := range names {
		for i := range builds {
			addBuild(tb, b, n, i)
		}
	}
	return b
}

func addBuild(tb testing.TB, b *Backend, name string, i int) {
	tb.Helper()
	at := time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC)
	bd, err := b.ledger.Build(name, at.Format("20060102-150405")+"-0000")
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
		d, err := evidence.Seal(context.Background(), b.signer, evidence.Subject{Name: "x", Digest: map[string]string{"sha256": sum}}, head, predicate)
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

// BenchmarkStatus is the reality of 200 targets with 50 builds each. The first
// one checks every signature; those after it in the same process need not.
func BenchmarkStatus(b *testing.B) {
	home := ledgerOf(b, 200, 50)
	fold := func() {
		rows, err := home.Status(context.Background())
		if err != nil || len(rows) < 200 {
			b.Fatalf("%d rows, %v", len(rows), err)
		}
	}
	began := time.Now()
	fold()
	first := time.Since(began)
	for b.Loop() {
		fold()
	}
	b.ReportMetric(float64(first.Milliseconds()), "first-ms")
}
