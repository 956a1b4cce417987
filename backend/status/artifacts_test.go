package status

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/evidence"
	"ingot/backend/hometest"
)

func one(t *testing.T, b *backend.Backend) ArtifactInfo {
	t.Helper()
	all, err := Artifacts(t.Context(), b)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

// An artifact is proven by a boot of its very bytes as they lie there; what is
// handed out says in its name when it is not.
func TestArtifacts(t *testing.T) {
	b := hometest.Open(t)
	file := filepath.Join(b.Home.Data, "outputs", "d.qcow2")
	write := func(text string) {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("disk")
	hometest.Record(t, b, "20260101-000000-aaaa", evidence.KindArtifact, "disk", func(h evidence.Head) any {
		return evidence.Artifact{Head: h, Name: "d.qcow2", Format: "qcow2", File: "outputs/d.qcow2", Size: 4}
	})
	a := one(t, b)
	if a.Proven() || a.Boots != api.Unknown || a.Problem != "" || a.Path != file {
		t.Errorf("before a boot: %+v", a)
	}
	out, err := HandOut(b, a)
	if err != nil || filepath.Base(out) != "d-UNPROVEN.qcow2" {
		t.Errorf("handed out: %s, %v", out, err)
	}
	if text, err := os.ReadFile(out); err != nil || string(text) != "disk" {
		t.Errorf("%q, %v", text, err)
	}
	proven := func(text string) {
		hometest.Record(t, b, "20260101-000000-aaaa", evidence.KindProof, text, func(h evidence.Head) any { return evidence.Proof{Head: h, Artifact: "d.qcow2"} })
	}
	proven("another disk")
	if a := one(t, b); a.Proven() || a.Proof != "" {
		t.Errorf("a proof of other bytes counts: %+v", a)
	}
	proven("disk")
	hometest.Record(t, b, "20260101-000000-aaaa", evidence.KindReceipt, "disk", func(h evidence.Head) any {
		return evidence.Receipt{Head: h, URL: "http://x/v/", Disk: "http://x/v/d.qcow2", Local: true}
	})
	a = one(t, b)
	if !a.Proven() || a.Proof == "" || a.URL != "http://x/v/d.qcow2" || a.Template != "http://x/v/lima.yaml" || !a.Local {
		t.Errorf("proven and published: %+v", a)
	}
	if out, err := HandOut(b, a); err != nil || out != file {
		t.Errorf("handed out: %s, %v", out, err)
	}
	write("disk, changed")
	if out, err := HandOut(b, a); err != nil || filepath.Base(out) != "d-CHANGED.qcow2" {
		t.Errorf("changed bytes are handed out as %s, %v", out, err)
	}
	if a := one(t, b); a.Proven() || a.Problem == "" {
		t.Errorf("changed: %+v", a)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	var nothing *backend.NothingToDoError
	if _, err := HandOut(b, a); !errors.As(err, &nothing) {
		t.Errorf("a missing file: %v", err)
	}
	if a := one(t, b); a.Proven() || !strings.Contains(a.Problem, "missing") {
		t.Errorf("missing file: %+v", a)
	}
}

// A fork is a recipe that can be used at once, and takes nobody's place.
func TestFork(t *testing.T) {
	b := hometest.Open(t)
	file, err := Fork(t.Context(), b, "debian-12-arm64", "mine")
	if err != nil {
		t.Fatal(err)
	}
	b = hometest.Reopen(t)
	if err := Validate(b, "mine"); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	_, text, err := RecipeText(b, "mine")
	if err != nil || !strings.Contains(text, "name: mine") || !strings.Contains(text, "sourcePackage") {
		t.Errorf("%s, %v", text, err)
	}
	for _, as := range []string{"mine", "debian-12-arm64", "../evil", "", "a b"} {
		if _, err := Fork(t.Context(), b, "debian-12-arm64", as); api.ClassOf(err) != api.ClassInput {
			t.Errorf("fork as %q: %v", as, err)
		}
	}
	if _, err := Fork(t.Context(), b, "nothing", "mine2"); api.ClassOf(err) != api.ClassInput {
		t.Errorf("fork of nothing: %v", err)
	}
}
