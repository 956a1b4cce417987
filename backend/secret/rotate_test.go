package secret

import (
	"crypto/ed25519"
	"testing"
)

func TestRotation(t *testing.T) {
	s := Files{t.TempDir()}
	first, err := LoadOrCreateSigner(s)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Retired(s); err != nil || len(r) != 0 {
		t.Fatalf("%v, %v", r, err)
	}
	message, old := []byte("what was proved"), first.Sign([]byte("what was proved"))
	if text, err := FormatPublic(first.KeyID(), first.Public()); err != nil || text != first.MinisignPublic() {
		t.Errorf("%q, %v, want %q", text, err, first.MinisignPublic())
	}
	sums := first.MinisignSign(message, "x")
	backup, err := ExportKey(s)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Rotate(s)
	if err != nil || second.KeyID() == first.KeyID() {
		t.Fatalf("%v, %v", second.KeyID(), err)
	}
	now, err := LoadOrCreateSigner(s)
	if err != nil || now.KeyID() != second.KeyID() {
		t.Errorf("the home's key is %s, want %s: %v", now.KeyID(), second.KeyID(), err)
	}
	retired, err := Retired(s)
	if err != nil || len(retired) != 1 || !ed25519.Verify(retired[first.KeyID()], message, old) {
		t.Errorf("%v, %v: the old signature is not believed any more", retired, err)
	}
	if id, ok := VerifyMinisignAny(retired, message, sums); !ok || id != first.KeyID() {
		t.Errorf("the old list's signature is not believed any more: %q", id)
	}
	if _, ok := VerifyMinisignAny(map[string]ed25519.PublicKey{second.KeyID(): second.Public()}, message, sums); ok {
		t.Error("another key's signature was taken")
	}
	if _, err := FormatPublic("no id", first.Public()); err == nil {
		t.Error("a key without an id was written")
	}
	if back, err := ImportKey(s, backup); err != nil || back.KeyID() != first.KeyID() {
		t.Errorf("%v", err)
	}
	if again, err := ImportKey(s, backup); err != nil || again.KeyID() != first.KeyID() {
		t.Errorf("a key in place of itself: %v", err)
	}
	if retired, err = Retired(s); err != nil || len(retired) != 2 {
		t.Errorf("%d retired keys, want 2: %v", len(retired), err)
	}
	for _, bad := range []string{"", "nonsense", first.MinisignPublic()} {
		if _, err := ImportKey(s, []byte(bad)); err == nil {
			t.Errorf("%q was taken as a private key", bad)
		}
	}
}
