package build

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/family/all"
	"ingot/backend/target"
	"ingot/resources"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The digests of the recipes and locks of all shipped targets and of the tests'
// targets, and the resulting keys of the steps. A change invalidates the builds of
// every home, so it must be intended: run the test with -update, and describe in
// CHANGELOG.md which steps run again.
func TestGoldenKeys(t *testing.T) {
	set, err := target.Load(resources.FS, filepath.Join("..", "..", "test", "targets"), all.Check)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, name := range set.Names() {
		r, err := set.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		lock, err := set.Lock(r)
		if err != nil {
			t.Fatal(err)
		}
		frags, err := Fragments(set, r)
		if err != nil {
			t.Fatal(err)
		}
		k, err := KeysOf(r, lock, frags)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range [][2]string{{"recipe", r.Digest()}, {"lock", lock.Digest()}, {"kernel", k.Kernel.Key()}, {"rootfs", k.Rootfs.Key()}, {"tools", k.Tools.Key()}, {"image", k.Image.Key()}} {
			fmt.Fprintf(&got, "%s %s %s\n", name, line[0], line[1])
		}
	}
	golden(t, "keys.txt", got.String())
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	have, expected := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(have), len(expected)) {
		var h, e string
		if i < len(have) {
			h = have[i]
		}
		if i < len(expected) {
			e = expected[i]
		}
		if h != e {
			t.Fatalf("%s, line %d:\n  now  %s\n  was  %s", file, i+1, h, e)
		}
	}
}
