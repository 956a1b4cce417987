package linux

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/disk/ext4/ext4test"
)

// The list of a disk's files must have all of them, each with its digest: what a program
// that was ended within a pipe has left out is an error.
func TestCheckTree(t *testing.T) {
	dir, tree := t.TempDir(), t.TempDir()
	for _, name := range []string{"etc/hostname", "usr/bin/x"} {
		file := filepath.Join(tree, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	raw, list := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "tree.txt")
	ext4test.Tool(t, "", "mke2fs", "-q", "-t", "ext4", "-d", tree, raw, "8M")
	sum := strings.Repeat("a", 64)
	const folder, file = "\tdrwxr-xr-x\t0\t0\t\t1\t\n", "\t-rw-r--r--\t0\t0\t1\t1\t"
	esp := strings.Repeat("ESP: x\t\t\t\t\t\t\t"+sum+"\n", 4)
	whole := "etc" + folder + "etc/hostname" + file + "\t" + sum + "\nusr" + folder + "usr/bin" + folder + "usr/bin/x" + file + "\t" + sum + "\n" + esp
	for want, text := range map[string]string{
		"":                        whole,
		"etc/hostname has no":     strings.Replace(whole, "\t"+sum+"\nusr", "\nusr", 1),
		"it lists 4 files":        strings.Replace(whole, "usr/bin"+folder, "", 1),
		"and 3 of the EFI system": strings.Replace(whole, "ESP: x\t\t\t\t\t\t\t"+sum+"\n", "", 1),
		"it lists 0 files":        "",
		`has the line "usr"`:      strings.Replace(whole, "usr"+folder, "usr\n", 1),
	} {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := checkTree(raw, list)
		var incomplete *TreeError
		if want == "" && err != nil || want != "" && (!errors.As(err, &incomplete) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
