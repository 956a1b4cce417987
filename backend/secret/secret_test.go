package secret

import (
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// forget deletes an entry, if there is one.
func forget(service, name string) error {
	if err := keyring.Delete(service, name); !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	return nil
}

// What was put into the keychain by hand is read as it stands; what Ingot put
// there comes back byte by byte.
func TestKeychain(t *testing.T) {
	keyring.MockInit()
	k := keychain{dir: t.TempDir(), service: "ingot-x"}
	if _, err := k.Get("a"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	for name, put := range map[string]func(v string) error{
		"by hand": func(v string) error {
			return errors.Join(forget(k.service, "s3:host"), keyring.Set(common, "s3:host", v))
		},
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
			v, err := keychain{dir: dir, service: "ingot-x"}.Create("key", []byte{byte('a' + i)})
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

// A home of before has its key in the common service: it is copied to the home's own,
// and stays. A new home has another key, and forgets only that.
func TestKeychainOfOneHome(t *testing.T) {
	keyring.MockInit()
	var log []string
	home := func(builds bool) (Store, string) {
		data := t.TempDir()
		if builds {
			if err := os.MkdirAll(filepath.Join(data, "builds", "t"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(filepath.Join(data, "keys"), func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		signer, err := LoadOrCreateSigner(s)
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, signer.KeyID())
		return s, filepath.Join(data, "keys")
	}
	before := keychain{dir: t.TempDir(), service: common}
	key, err := LoadOrCreateSigner(before)
	if err != nil {
		t.Fatal(err)
	}
	old, oldDir := home(true)
	fresh, _ := home(false)
	if log[0] != key.KeyID() || log[1] == key.KeyID() {
		t.Errorf("the common key is %s; that of an old home %s, of a new one %s", key.KeyID(), log[0], log[1])
	}
	if err := fresh.Forget(); err != nil {
		t.Fatal(err)
	}
	if again, err := LoadOrCreateSigner(old); err != nil || again.KeyID() != key.KeyID() {
		t.Errorf("another home's key is gone: %v", err)
	}
	if _, err := keyring.Get(common, signingKey); err != nil {
		t.Errorf("the common entry: %v", err)
	}
	// the choice holds, whatever the keychain answers now to another process
	answers.by = nil
	keyring.MockInitWithError(errors.New("User interaction is not allowed"))
	s, err := Open(oldDir, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	var refused *KeychainError
	if _, err := LoadOrCreateSigner(s); !errors.As(err, &refused) || refused.CauseID() != "home.keychain" {
		t.Errorf("a locked keychain: %v", err)
	}
	if entries, err := os.ReadDir(oldDir); err != nil || len(entries) != 2 { // the choice, and the lock
		t.Errorf("%v, %v", entries, err)
	}
}

// At the first start a keychain that refuses is not used; where it must be there, its
// silence is an error.
func TestFirstChoice(t *testing.T) {
	defer func(l, m time.Duration) { linuxLimit, macLimit = l, m }(linuxLimit, macLimit)
	linuxLimit, macLimit = 10*time.Millisecond, 10*time.Millisecond
	over := make(chan struct{})
	defer close(over)
	silent := func() error { <-over; return nil }
	for name, c := range map[string]struct {
		goos       string
		try        func() error
		kept, fail bool
	}{
		"answers":         {"darwin", func() error { return nil }, true, false},
		"refuses":         {"darwin", func() error { return errors.New("exit status 36") }, false, false},
		"silent on a Mac": {"darwin", silent, false, true},
		"no daemon":       {"linux", silent, false, false},
	} {
		if kept, err := keeps(c.goos, c.try); kept != c.kept || (err != nil) != c.fail {
			t.Errorf("%s: %v, %v", name, kept, err)
		}
	}
	keyring.MockInitWithError(errors.New("no keychain"))
	dir := filepath.Join(t.TempDir(), "keys")
	for range 2 { // a keychain that is there later does not change the choice
		s, err := Open(dir, func(string) string { return "" })
		if err != nil || s.Where() != dir {
			t.Fatalf("%v, %v", s, err)
		}
		keyring.MockInit()
	}
	if err := os.WriteFile(filepath.Join(dir, choiceFile), []byte(`{"store":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), choiceFile) {
		t.Errorf("a choice that is none: %v", err)
	}
	if s, err := Open(dir, func(string) string { return "off" }); err != nil || s.Where() != dir {
		t.Errorf("switched off: %v", err)
	}
}

// Many processes that start at once choose once.
func TestFirstChoiceOfMany(t *testing.T) {
	keyring.MockInit()
	dir := filepath.Join(t.TempDir(), "keys")
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			s, err := Open(dir, func(string) string { return "" })
			if err != nil {
				t.Error(err)
				return
			}
			if k, ok := s.(remembered); ok {
				ids[i] = k.id
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("several services: %q", ids)
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
