package status

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend"
	"ingot/backend/evidence"
	"ingot/backend/hometest"
)

// A home as it was recorded – its ledger and its signing key – opens unchanged
// and shows the six cells that it showed then.
func TestRecordedHome(t *testing.T) {
	if *hometest.Update {
		recordHome(t)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "home"))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("INGOT_HOME", dir)
	t.Setenv("INGOT_CONFIG", filepath.Join(dir, "config"))
	t.Setenv("INGOT_CACHE", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	if err := os.Chmod(filepath.Join(dir, "data", "keys", "signing-key"), 0o600); err != nil { // git keeps no such mode
		t.Fatal(err)
	}
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := Rows(t.Context(), b, "recorded", "unbuilt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, r := range rows {
		for _, c := range r.Cells() {
			fmt.Fprintf(&got, "%s %s %s %s %s %s\n", r.Target, c.Name, c.Cell.State, c.Cell.Evidence, c.Cell.Cause, c.Cell.Note)
		}
	}
	hometest.Golden(t, "home.txt", got.String())
}

// recordHome writes testdata/home: a target with a pass in each cell, one with
// failures and one that was never built.
func recordHome(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("testdata", "home"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("INGOT_HOME", root)
	t.Setenv("INGOT_CONFIG", filepath.Join(root, "config"))
	t.Setenv("INGOT_CACHE", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	if err := os.Chmod(filepath.Join(root, "data", "keys", "signing-key"), 0o600); err != nil { // git keeps no such mode
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "data", "builds")); err != nil {
		t.Fatal(err)
	}
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Targets.Get("recorded")
	if err != nil {
		t.Fatal(err)
	}
	l, err := b.Targets.Lock(r)
	if err != nil {
		t.Fatal(err)
	}
	l.Asked = r.Asked()
	text, err := l.Marshal()
	if err == nil {
		err = os.WriteFile(b.Targets.LockPath(r), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	in, _ := currentInputs(b, "recorded")
	if in.ErrCause != "" {
		t.Fatalf("%+v", in)
	}
	const artifact = "outputs/export-recorded/debian-12-recorded-arm64.qcow2"
	file := filepath.Join(b.Home.Data, filepath.FromSlash(artifact))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("disk"), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	bd, err := b.Ledger.Build("recorded", "20261128-120000-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	add := func(kind evidence.Kind, key, subject string, predicate func(evidence.Head) any) {
		at = at.Add(time.Minute)
		h := evidence.Head{APIVersion: "ingot/v1", Kind: kind, Target: "recorded", Build: bd.ID, At: at, Verdict: evidence.Passed, InputKey: key, Tool: "ingot recorded"}
		about := evidence.Subject{Name: strings.ToLower(string(kind)), Digest: map[string]string{"sha256": hometest.DigestOf(subject)}}
		if _, err := bd.Record(t.Context(), b.Author(), about, h, predicate(h)); err != nil {
			t.Fatal(err)
		}
	}
	add(evidence.KindConfig, "c", "recipe", func(h evidence.Head) any {
		return evidence.Config{Head: h, Recipe: in.Recipe, Lock: in.Lock}
	})
	add(evidence.KindGuest, "g", "guest", func(h evidence.Head) any { return evidence.Guest{Head: h, Name: "local"} })
	add(evidence.KindKernel, in.KernelKey, "vmlinuz", func(h evidence.Head) any { return evidence.Kernel{Head: h, Release: "6.1.0-ingot"} })
	add(evidence.KindImage, in.ImageKey, "raw", func(h evidence.Head) any { return evidence.Image{Head: h} })
	add(evidence.KindArtifact, "a", "disk", func(h evidence.Head) any {
		return evidence.Artifact{Head: h, Name: filepath.Base(artifact), Format: "qcow2", File: artifact, Size: 4, ImageDigest: hometest.DigestOf("raw")}
	})
	add(evidence.KindProof, "p", "disk", func(h evidence.Head) any { return evidence.Proof{Head: h, Artifact: filepath.Base(artifact)} })
	add(evidence.KindReceipt, "r", "disk", func(h evidence.Head) any {
		return evidence.Receipt{Head: h, URL: "http://store.example.org/v/", Disk: "http://store.example.org/v/d.qcow2", Local: true, Proven: true}
	})
}
