package status

import (
	"os"
	"path/filepath"
	"testing"

	"ingot/backend/hometest"
)

// What is remembered of a lock holds for its very text: another text, or a
// broken one, is read anew.
func TestDerived(t *testing.T) {
	b := hometest.Open(t)
	dir := filepath.Join(b.Home.Config, "targets")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	look := func() (state, kernel string) {
		t.Helper()
		b := hometest.Reopen(t)
		d := openDerived(b.Home)
		in, title := cachedInputs(b, "debian-12-arm64", d)
		d.save()
		plain, _ := currentInputs(b, "debian-12-arm64")
		if in != plain || title == "" {
			t.Errorf("remembered %+v, computed %+v", in, plain)
		}
		return in.ErrCause, in.KernelKey
	}
	_, first := look()
	if data, err := os.ReadFile(filepath.Join(b.Home.Cache, "derived.json")); err != nil || len(data) < 100 {
		t.Fatalf("nothing is remembered: %v", err)
	}
	if _, again := look(); again != first {
		t.Error("the same lock gave another key")
	}
	r, err := b.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	l, err := b.Targets.Lock(r)
	if err != nil {
		t.Fatal(err)
	}
	l.Kernel.Version += "x"
	text, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "debian-12-arm64.lock.yaml")
	if err := os.WriteFile(lock, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, changed := look(); changed == first {
		t.Error("a changed lock has the key of the old one")
	}
	if err := os.WriteFile(lock, []byte("kind: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if cause, _ := look(); cause == "" {
		t.Error("a broken lock was not noticed")
	}
	if err := os.WriteFile(filepath.Join(b.Home.Cache, "derived.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	look()
}
