package retention

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/api"
	"ingot/backend/hometest"
)

// The memory of digests can go at any time; a reindex reads all again, and
// names what was bent.
func TestReindex(t *testing.T) {
	b := hometest.Ledger(t, 2, 3)
	artifact := filepath.Join(b.Home.Data, "outputs", "a.qcow2")
	rep, err := Reindex(t.Context(), b)
	if err != nil || rep.Builds != 6 || rep.Documents != 42 || rep.Signed != 42 || rep.Files != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if err := os.MkdirAll(filepath.Dir(artifact), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(artifact, []byte("other bytes"), 0o644); err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Glob(filepath.Join(b.Ledger.Dir, "t000", "*", "evidence", "receipt-*.json"))
	if err != nil || len(docs) != 3 {
		t.Fatalf("%v, %v", docs, err)
	}
	text, err := os.ReadFile(docs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(docs[0], []byte(strings.Replace(string(text), `"sig": "`, `"sig": "AAAA`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err = Reindex(t.Context(), b)
	var bad *LedgerError
	if !errors.As(err, &bad) || api.ClassOf(err) != api.ClassVerify || rep.Signed != 41 || len(rep.Problems) != 7 {
		t.Errorf("%+v, %v", rep, err)
	}
}
