package disk

import (
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A QEMU that may write holds a lock, and one that only reads does not.
func TestOpenLocked(t *testing.T) {
	dir := t.TempDir()
	qemu(t, dir, "qemu-img", "create", "-q", "-f", "qcow2", "q", "8M")
	im, err := Open(filepath.Join(dir, "q"))
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	for _, c := range []struct {
		mode string
		want error
	}{{"-r", nil}, {"-n", ErrInUse}} {
		stop := holdOpen(t, dir, c.mode)
		other, err := Open(filepath.Join(dir, "q"))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.mode, err, c.want)
		}
		if err == nil {
			other.Close()
		}
		if err := im.Unchanged(); !errors.Is(err, c.want) {
			t.Errorf("%s: opened before: %v, want %v", c.mode, err, c.want)
		}
		stop()
	}
	qemu(t, dir, "qemu-io", "-f", "qcow2", "-c", "write 0 64k", "q")
	if err := im.Unchanged(); !errors.Is(err, ErrChanged) {
		t.Errorf("written to: %v, want %v", err, ErrChanged)
	}
}

// holdOpen keeps an image open in qemu-io until the returned function is
// called.
func holdOpen(t *testing.T, dir, mode string) func() {
	t.Helper()
	cmd := exec.Command("qemu-io", mode, "-f", "qcow2", "q")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	// its answer to a command says that the image is open
	if _, err := io.WriteString(in, "length\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for got := ""; !strings.Contains(got, "8 MiB"); {
		n, err := out.Read(b)
		if err != nil {
			t.Fatalf("qemu-io: %v: %s", err, got)
		}
		got += string(b[:n])
	}
	return func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}
}
