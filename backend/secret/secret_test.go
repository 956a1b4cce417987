package secret

import (
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/zalando/go-keyring"
)

func TestFiles(t *testing.T) {
	f := Files{filepath.Join(t.TempDir(), "keys")}
	if _, err := f.Get("a"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if err := f.Put("s3:host", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if v, err := f.Get("s3:host"); err != nil || string(v) != "v" {
		t.Fatalf("%q, %v", v, err)
	}
	if err := os.Chmod(f.path("s3:host"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get("s3:host"); err == nil {
		t.Error("a file that others can read was accepted")
	}
}

// What was put into the keychain by hand is read as it stands; what Ingot put
// there comes back byte by byte.
func TestKeychain(t *testing.T) {
	keyring.MockInit()
	k := keychain{t.TempDir()}
	if _, err := k.Get("a"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	for name, put := range map[string]func(v string) error{
		"by hand":  func(v string) error { return keyring.Set(service, "s3:host", v) },
		"by Ingot": func(v string) error { return k.Put("s3:host", []byte(v)) },
	} {
		for _, v := range []string{"ACCESS:secret/+=", "abcd:efgh", "AKIAEXAMPLE:\xc3\xa4"} {
			if err := put(v); err != nil {
				t.Fatal(err)
			}
			if got, err := k.Get("s3:host"); err != nil || string(got) != v {
				t.Errorf("%s: %q, %v, want %q", name, got, err, v)
			}
		}
	}
	if v, err := k.Create("s3:host", []byte("other")); err != nil || string(v) == "other" {
		t.Errorf("an entry was replaced: %q, %v", v, err)
	}
}

// The keychain itself has no create-only write, and its stand-in for tests no
// locks: what keeps these apart is Create's own lock.
func TestKeychainCreatesOnce(t *testing.T) {
	keyring.MockInit()
	dir := t.TempDir()
	got := make([]string, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			v, err := keychain{dir}.Create("key", []byte{byte('a' + i)})
			if err != nil {
				t.Error(err)
			}
			got[i] = string(v)
		})
	}
	wg.Wait()
	for _, v := range got {
		if v != got[0] || v == "" {
			t.Fatalf("several keys: %q", got)
		}
	}
}

// Many first starts at once must end with one key.
func TestSignerIsMadeOnce(t *testing.T) {
	f := Files{t.TempDir()}
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			s, err := LoadOrCreateSigner(f)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.KeyID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("several keys: %v", ids)
		}
	}
}

func TestSignerAgainstMinisign(t *testing.T) {
	s, err := LoadOrCreateSigner(Files{t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	id, pub, err := ParsePublic(s.MinisignPublic())
	if err != nil || id != s.KeyID() || !ed25519.Verify(pub, []byte("m"), s.Sign([]byte("m"))) {
		t.Fatalf("public key does not fit: %v", err)
	}
	msg := []byte("sums\n")
	sig := s.MinisignSign(msg, "trusted")
	if !VerifyMinisign(s.MinisignPublic(), msg, sig) || VerifyMinisign(s.MinisignPublic(), []byte("other"), sig) {
		t.Error("own verification is wrong")
	}
	bin, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("minisign is not installed: apt-get install minisign")
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	file, key := write("SUMS", msg), write("ingot.pub", []byte(s.MinisignPublic()))
	write("SUMS.minisig", sig)
	if out, err := exec.Command(bin, "-Vm", file, "-p", key).CombinedOutput(); err != nil {
		t.Errorf("minisign: %v\n%s", err, out)
	}
	write("SUMS", []byte("changed\n"))
	if err := exec.Command(bin, "-Vm", file, "-p", key).Run(); err == nil {
		t.Error("minisign accepted a changed file")
	}
}
