package verify

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/hometest"
	"ingot/backend/proof"
)

// A file that is not an image is refused before a boot, and the record has the cause.
// For a file that does not exist nothing is recorded.
func TestProveFileRefuses(t *testing.T) {
	b := hometest.Open(t)
	file := filepath.Join(t.TempDir(), "cut.qcow2")
	if err := os.WriteFile(file, []byte("QFI\xfb\x00\x00\x00\x03"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, p, err := ProveFile(t.Context(), b, file, "arm64", proof.Spec{})
	if err != nil || p.Verdict != evidence.Failed || p.Cause != "image.unreadable" || p.Fix == "" || len(p.Boots) != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("QFI\xfb\x00\x00\x00\x03"))); d.Trust != evidence.Unsigned || d.Subject().SHA256() != want || d.Head.Target != "files" || d.Head.Cause != p.Cause {
		t.Errorf("recorded %+v about %s", d.Head, d.Subject().SHA256())
	}
	if _, _, err := ProveFile(t.Context(), b, file+".gone", "arm64", proof.Spec{}); cause.Of(err) != "image.missing" {
		t.Errorf("a file that is gone: %v", err)
	}
	if docs, err := b.Line().Records().Evidence(t.Context(), "files"); err != nil || len(docs) != 1 {
		t.Errorf("%d documents, %v", len(docs), err)
	}
}
