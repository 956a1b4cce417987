package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	diskfs "github.com/diskfs/go-diskfs"
)

// seedFiles opens a seed and returns a function that reads its files.
func seedFiles(t *testing.T, file string) func(name string) string {
	t.Helper()
	d, err := diskfs.Open(file, diskfs.WithOpenMode(diskfs.ReadOnly), diskfs.WithSectorSize(2048))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	iso, err := d.GetFilesystem(0)
	if err != nil || strings.TrimRight(iso.Label(), "\x00 ") != "cidata" {
		t.Fatalf("label %q, %v", iso.Label(), err)
	}
	return func(name string) string {
		t.Helper()
		b, err := iso.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestSeedIsAnISO(t *testing.T) {
	f := filepath.Join(t.TempDir(), "seed.iso")
	if err := WriteSeed(f, Account{"ingot-proof", "secret"}, map[string]string{"check-00.sh": "set -eu\ntrue"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f)
	if err != nil || len(b) < 0x8800 || string(b[0x8001:0x8006]) != "CD001" || !strings.HasPrefix(string(b[0x8028:0x8048]), "cidata") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	read := seedFiles(t, f)
	if got := read("check-00.sh"); got != "set -eu\ntrue" {
		t.Errorf("check: %q", got)
	}
	if got := read("user-data"); !strings.Contains(got, "name: ingot-proof\n") || !strings.Contains(got, "plain_text_passwd: secret\n") {
		t.Errorf("user-data: %s", got)
	}
}

// The seed of an interactive machine admits a key and no password, and contains the
// machine's own key.
func TestLoginSeed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seed.iso")
	login := Login{Hostname: "there", User: "me", Keys: []string{"ssh-ed25519 AAAA me@here"}, HostKey: "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n", HostPublic: "ssh-ed25519 BBBB there"}
	if err := WriteLoginSeed(file, login); err != nil {
		t.Fatal(err)
	}
	read := seedFiles(t, file)
	user := read("user-data")
	for _, want := range []string{"#cloud-config\n", "name: me\n", "lock_passwd: true", "- ssh-ed25519 AAAA me@here", "ed25519_public: ssh-ed25519 BBBB there", "BEGIN OPENSSH PRIVATE KEY"} {
		if !strings.Contains(user, want) {
			t.Errorf("user-data lacks %q:\n%s", want, user)
		}
	}
	if strings.Contains(user, "plain_text_passwd") {
		t.Error("user-data holds a password")
	}
	if meta := read("meta-data"); !strings.Contains(meta, "local-hostname: there\n") {
		t.Errorf("meta-data: %s", meta)
	}
	if err := WriteLoginSeed(filepath.Join(file, "below"), login); err == nil {
		t.Error("written below a file")
	}
}
