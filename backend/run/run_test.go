package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// The user's keys go into the machine, one a line whatever their comments hold;
// what is no key does not.
func TestUserKeys(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	if err := os.Mkdir(filepath.Join(dir, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, public, err := newSSHKey("a comment")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"id_a.pub": public + " me@here\n", "id_b.pub": "no key\n", "id_c": "private", "other.pub": public + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := userKeys()
	if len(got) != 1 || got[0] != public+" me@here" {
		t.Errorf("%q, want the one key %q", got, public)
	}
}

func TestNewLogin(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := newLogin(dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(l.key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))); len(l.host.Keys) != 1 || l.host.Keys[0] != line {
		t.Errorf("the seed lets in %q, the key is %q", l.host.Keys, line)
	}
	hosts, err := os.ReadFile(l.hosts)
	if err != nil || !strings.Contains(string(hosts), strings.Fields(l.host.HostPublic)[1]) {
		t.Errorf("known_hosts: %q, %v", hosts, err)
	}
	if !strings.Contains(l.command(), `it'\''s here/key'`) {
		t.Errorf("%s cannot be pasted into a shell", l.command())
	}
}

// --memory reaches the instance's template; without it Lima chooses.
func TestRunTemplate(t *testing.T) {
	a := startable{path: "/x/a.qcow2", arch: "arm64"}
	for memory, want := range map[int64]bool{0: false, 3 << 30: true} {
		text, err := runTemplate(a, strings.Repeat("a", 64), memory)
		if err != nil || strings.Contains(string(text), "memory: 3072MiB\n") != want || strings.Contains(string(text), "memory") != want {
			t.Errorf("%d bytes: %v\n%s", memory, err, text)
		}
	}
}
