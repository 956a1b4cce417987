package secret

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// inService is set where TestSecretService runs itself again, inside a session.
const inService = "INGOT_TEST_SECRET_SERVICE"

// A real Secret Service, in a session bus and a home of its own: what is stored is there
// for the next process, a second home has another key, and nothing is left of one that
// is forgotten.
func TestSecretService(t *testing.T) {
	if home := os.Getenv(inService); home != "" {
		secretService(t, home)
		return
	}
	for _, name := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%v: apt-get install gnome-keyring dbus-daemon", err)
		}
	}
	home := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		cmd := exec.Command("dbus-run-session", "--", "sh", "-ec", `echo password | gnome-keyring-daemon --unlock --components=secrets >/dev/null; exec "$0" -test.run='^TestSecretService$' -test.v`, self)
		cmd.Env = append(os.Environ(), inService+"="+home, "HOME="+home, "XDG_DATA_HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_CACHE_HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	run()
	run() // another process, another daemon: what was stored is there
}

func secretService(t *testing.T, home string) {
	open := func(name string) (Store, string) {
		s, err := Open(filepath.Join(home, name, "keys"), func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.(remembered); !ok {
			t.Fatalf("the secrets are in %s", s.Where())
		}
		signer, err := LoadOrCreateSigner(s)
		if err != nil {
			t.Fatal(err)
		}
		return s, signer.KeyID()
	}
	_, one := open("one")
	other, two := open("other")
	if one == two {
		t.Errorf("two homes share key %s", one)
	}
	seen := filepath.Join(home, "seen")
	if was, err := os.ReadFile(seen); err == nil && string(was) != one {
		t.Errorf("the key is %s, was %s", one, was)
	} else if err := os.WriteFile(seen, []byte(one), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := other.Forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Get(signingKey); err == nil {
		t.Error("a key that was forgotten is there")
	}
	if _, again := open("one"); again != one {
		t.Errorf("forgetting another home's key changed this one's to %s", again)
	}
}
