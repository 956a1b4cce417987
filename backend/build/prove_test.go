package build

import (
	"os"
	"path/filepath"
	"testing"

	"ingot/backend/build/record"
	"ingot/backend/family/all"
	"ingot/backend/qemu"
	"ingot/backend/target"
	"ingot/resources"
)

// A recipe's keys of machine, console and identity are inputs of its proof; a recipe
// without them keeps the key that its prove step had before these keys were added.
func TestProveKey(t *testing.T) {
	const plain = "2a582cad364084b5bf24079f77b610de8546560ce284e3ab17b2b038c12aab89"
	keyOf := func(more string) string {
		t.Helper()
		dir := t.TempDir()
		text := "apiVersion: ingot/v1\nkind: Target\nname: mine\nextends: debian-12-arm64\n" + more
		if err := os.WriteFile(filepath.Join(dir, "mine.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := target.Load(resources.FS, dir, all.Check)
		if err != nil {
			t.Fatal(err)
		}
		r, err := set.Get("mine")
		if err != nil {
			t.Fatal(err)
		}
		return proveInputs(r, "artifact", "6.1 abc", record.Inputs{"step": "tools"}, qemu.Host{Version: "QEMU 7.2", FirmwareDigest: "f"}).Key()
	}
	if got := keyOf(""); got != plain {
		t.Errorf("a recipe without the keys: %s, was %s", got, plain)
	}
	seen := map[string]string{plain: "no key"}
	for _, more := range []string{"machine: {qemu: {bus: mmio}}\n", "machine: {minMemory: 1GiB}\n", "console: {panic: [x]}\n", "console: {panic: [y]}\n", "identity: {run: uname -r, want: release}\n"} {
		k := keyOf(more)
		if other, twice := seen[k]; twice {
			t.Errorf("%s has the key of %s", more, other)
		}
		seen[k] = more
	}
}
