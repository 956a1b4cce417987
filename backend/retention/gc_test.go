package retention

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend"
	"ingot/backend/evidence"
	"ingot/backend/hometest"
)

// collected makes a home with many builds of one target and returns it with a
// function that adds an output folder of a digest.
func collected(t *testing.T) (*backend.Backend, func(name, build, sha256 string)) {
	t.Helper()
	b := hometest.Ledger(t, 1, keepBuilds+10)
	return b, func(name, build, sha256 string) {
		dir := filepath.Join(b.Home.Data, "outputs", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(map[string]any{"build": build, "files": map[string]string{"disk": sha256}})
		if err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string][]byte{"done.json": data, "disk": make([]byte, 1<<20)} {
			if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// bare takes documents of all kinds but those named out of a build.
func bare(t *testing.T, b *backend.Backend, id string, keep ...evidence.Kind) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.Ledger.Dir, "t000", id, "evidence", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		kind, _, _ := strings.Cut(filepath.Base(f), "-")
		if slices.ContainsFunc(keep, func(k evidence.Kind) bool { return strings.EqualFold(string(k), kind) }) {
			continue
		}
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGC(t *testing.T) {
	b, output := collected(t)
	id := func(i int) string {
		return time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC).Format("20060102-150405") + "-0000"
	}
	sum := func(i int) string {
		return strings.Repeat(string("0123456789abcdef"[i/16])+string("0123456789abcdef"[i%16]), 32)
	}
	last := keepBuilds + 9
	for i := range keepBuilds + 10 {
		switch i {
		case 2:
			bare(t, b, id(i), evidence.KindProof, evidence.KindArtifact)
		case 3, last - 1:
		default: // no receipt, no proof
			bare(t, b, id(i), evidence.KindConfig, evidence.KindGuest, evidence.KindKernel, evidence.KindImage, evidence.KindArtifact)
		}
	}
	output("export-old", id(1), sum(1))              // nothing is about it
	output("export-receipt", id(3), sum(3))          // a receipt is
	output("export-proven", id(last-1), sum(last-1)) // the last booted image
	output("export-now", id(last), sum(last))        // the newest artifact
	output("export-older-proof", id(2), sum(2))      // booted, but not the last, nor published
	output("export-pinned", id(4), sum(4))
	if err := Pin(b, "t000", id(4), true); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(b.Home.Data, "outputs", "image-half"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"export-old": true, "export-older-proof": true, "image-half": true}
	for i := range keepBuilds + 10 {
		if i < 10 && i != 3 && i != 4 {
			want[id(i)] = true
		}
	}
	plan, err := Plan(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range plan.Remove {
		if name := filepath.Base(g.Path); !want[name] {
			t.Errorf("it would remove %s (%s)", name, g.Why)
		}
		delete(want, filepath.Base(g.Path))
	}
	if len(want) > 0 {
		t.Errorf("it would keep %v", want)
	}
	if a := plan.Allocated(); a < 2<<20 {
		t.Errorf("%d bytes on disk", a)
	}
	if _, err := Collect(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"export-receipt", "export-proven", "export-now", "export-pinned"} {
		if _, err := os.Stat(filepath.Join(b.Home.Data, "outputs", name, "disk")); err != nil {
			t.Error(err)
		}
	}
	if plan, err = Plan(t.Context(), b); err != nil || len(plan.Remove) != 0 {
		t.Errorf("a second time: %+v, %v", plan.Remove, err)
	}
	if err := Pin(b, "t000", id(4), false); err != nil {
		t.Fatal(err)
	}
	if plan, err = Plan(t.Context(), b); err != nil || len(plan.Remove) != 2 {
		t.Errorf("unpinned: %+v, %v", plan.Remove, err)
	}
}

// Documents of a collected build are not reported as missing. If its folder is restored
// from a backup, its documents are ignored and the next plan removes the folder.
func TestCollectedIsNotMissing(t *testing.T) {
	b := hometest.Ledger(t, 1, keepBuilds+2)
	builds, err := b.Ledger.Builds("t000")
	if err != nil {
		t.Fatal(err)
	}
	gone := builds[0]
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(gone.Dir)); err != nil {
		t.Fatal(err)
	}
	for _, bd := range builds { // receipts keep their builds
		bare(t, b, bd.ID, evidence.KindConfig)
	}
	if _, err := Collect(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone.Dir); !os.IsNotExist(err) {
		t.Fatalf("%s is there: %v", gone.ID, err)
	}
	if docs, err := gone.Evidence(t.Context(), b.Keys); err != nil || len(docs) != 0 {
		t.Errorf("%v, %v", docs, err)
	}
	if err := os.CopyFS(gone.Dir, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	if docs, err := gone.Evidence(t.Context(), b.Keys); err != nil || len(docs) != 0 {
		t.Errorf("from a backup: %v, %v", docs, err)
	}
	if plan, err := Plan(t.Context(), b); err != nil || len(plan.Remove) != 1 || plan.Remove[0].Path != gone.Dir {
		t.Errorf("%+v, %v", plan.Remove, err)
	}
}
