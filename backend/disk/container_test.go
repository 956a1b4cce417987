package disk

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/cause"
)

// A disk inside a container or a compressed file is refused by name, whatever the file
// is called: read as raw, a key in it is not found.
func TestContainers(t *testing.T) {
	raw := make([]byte, 1<<20)
	copy(raw[510:], "\x55\xaa")
	with := func(at int, magic string) []byte {
		b := bytes.Clone(raw)
		if at < 0 {
			at += len(b)
		}
		copy(b[at:], magic)
		return b
	}
	seen := map[string]bool{}
	for _, c := range containers {
		seen[c.name] = true
		file := filepath.Join(t.TempDir(), "disk.qcow2")
		if err := os.WriteFile(file, with(int(c.at), c.magic), 0o600); err != nil {
			t.Fatal(err)
		}
		im, oerr := Open(file)
		if im != nil {
			_ = im.Close()
		}
		_, ierr := Inspect(file)
		for _, err := range []error{oerr, ierr} {
			var is *ContainerError
			if !errors.As(err, &is) || is.Name != c.name || !errors.Is(err, ErrUnreadable) || cause.IDOf(WithCause(err)) != "image.container" || !strings.Contains(err.Error(), c.unpack) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("%d kinds", len(seen))
	}
	for name, data := range map[string][]byte{"raw": raw, "magic elsewhere": with(4096, "KDMV"), "no partitions": make([]byte, 4096)} {
		file := filepath.Join(t.TempDir(), "disk.raw")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		im, err := Open(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = im.Close()
	}
	empty := filepath.Join(t.TempDir(), "zero.qcow2")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(empty); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
}

// What qemu-img writes is recognised.
func TestContainersOfQEMU(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is missing: apt-get install qemu-utils")
	}
	dir := t.TempDir()
	raw := filepath.Join(dir, "d.raw")
	if err := os.WriteFile(raw, bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for format, opts := range map[string]string{"vmdk": "subformat=streamOptimized", "vhdx": "", "vpc": "", "vdi": "", "qed": "", "parallels": ""} {
		file := filepath.Join(dir, "renamed-"+format+".qcow2")
		argv := []string{"convert", "-O", format, raw, file}
		if opts != "" {
			argv = []string{"convert", "-O", format, "-o", opts, raw, file}
		}
		if out, err := exec.Command("qemu-img", argv...).CombinedOutput(); err != nil {
			t.Logf("%s: left out: %v %s", format, err, out)
			continue
		}
		if _, err := Open(file); !errors.As(err, new(*ContainerError)) {
			t.Errorf("%s: %v", format, err)
		}
	}
}
