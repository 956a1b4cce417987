package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The user's keys go into the machine, one a line whatever their comments hold;
// what is no key does not.
func TestUserKeys(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	if err := os.Mkdir(filepath.Join(dir, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	const public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILl1olV9hA94H6C2V9Pif6K8HNwBppWleyhNS8naJUQF"
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
