package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// The seed lets in the machine's own key and those that were given, and known_hosts has
// the key that the seed gives the machine.
func TestNewLogin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, seed, err := NewLogin(dir, "ingot", "ssh-ed25519 AAAA another")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(l.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))); len(seed.Keys) != 2 || seed.Keys[1] != line {
		t.Errorf("the seed lets in %q, the key is %q", seed.Keys, line)
	}
	hosts, err := os.ReadFile(l.KnownHosts)
	if err != nil || !strings.Contains(string(hosts), strings.Fields(seed.HostPublic)[1]) {
		t.Errorf("known_hosts: %q, %v", hosts, err)
	}
	if !strings.Contains(l.Command(), `it'\''s here/key'`) {
		t.Errorf("%s cannot be pasted into a shell", l.Command())
	}
	if l.KnownHosts = ""; !strings.Contains(l.Command(), "StrictHostKeyChecking=no") || !l.options("x").AnyHostKey {
		t.Errorf("%s requires a known host key", l.Command())
	}
}
