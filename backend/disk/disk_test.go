package disk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lima-vm/go-qcow2reader"
)

// sample writes a raw disk with a boot signature, holes, text, noise, a run of
// zeros that is allocated, and a size that is no multiple of a cluster.
func sample(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	noise := make([]byte, 5*clusterSize+777)
	rnd.Read(noise)
	text := bytes.Repeat([]byte("honest status "), 40000)
	for off, data := range map[int64][]byte{510: {0x55, 0xaa}, 3 * clusterSize: text, size/2 + 100: noise, size / 3: make([]byte, 4*clusterSize), size - 512: bytes.Repeat([]byte{7}, 512)} {
		if _, err := f.WriteAt(data, off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func export(t *testing.T, raw string, sink Sink) {
	t.Helper()
	src, err := OpenRaw(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := sink.Take(context.Background(), src, nil); err != nil {
		t.Fatal(err)
	}
}

func needQemuImg(t *testing.T) string {
	t.Helper()
	p, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("qemu-img is not installed: apt-get install qemu-utils")
	}
	return p
}

// QEMU's own tool and Lima's reader must agree that the image is sound and
// equal; the same input must give the same bytes.
func TestQcow2AgainstOtherReaders(t *testing.T) {
	img := needQemuImg(t)
	for _, size := range []int64{clusterSize, 1<<20 + 512, 700<<20 + 1536} {
		raw := sample(t, max(size, 2<<20))
		out := filepath.Join(t.TempDir(), "disk.qcow2")
		export(t, raw, Qcow2{out})
		for _, args := range [][]string{{"check", "-f", "qcow2", out}, {"compare", "-f", "raw", "-F", "qcow2", raw, out}} {
			if b, err := exec.Command(img, args...).CombinedOutput(); err != nil {
				t.Fatalf("qemu-img %v: %v\n%s", args, err, b)
			}
		}
		compareWithReader(t, raw, out)
		again := filepath.Join(t.TempDir(), "again.qcow2")
		export(t, raw, Qcow2{again})
		a, _ := os.ReadFile(out)
		b, _ := os.ReadFile(again)
		if !bytes.Equal(a, b) {
			t.Error("two exports of one disk differ")
		}
	}
}

func compareWithReader(t *testing.T, raw, qcow2 string) {
	t.Helper()
	f, err := os.Open(qcow2)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	im, err := qcow2reader.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := im.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("go-qcow2reader reads other bytes than went in")
	}
}

func TestRawKeepsBytes(t *testing.T) {
	raw := sample(t, 20<<20)
	out := filepath.Join(t.TempDir(), "copy.raw")
	export(t, raw, Raw{out})
	a, _ := os.ReadFile(raw)
	b, _ := os.ReadFile(out)
	if !bytes.Equal(a, b) {
		t.Error("the copy differs")
	}
}

func TestInspect(t *testing.T) {
	raw := sample(t, 20<<20)
	good := filepath.Join(t.TempDir(), "good.qcow2")
	export(t, raw, Qcow2{good})
	if info, err := Inspect(good); err != nil || info.Format != "qcow2" || info.VirtualSize != 20<<20 {
		t.Fatalf("good image: %+v, %v", info, err)
	}
	if info, err := Inspect(raw); err != nil || info.Format != "raw" {
		t.Fatalf("raw image: %+v, %v", info, err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(fifo); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a fifo: %v", err)
	}
	data, _ := os.ReadFile(good)
	bend := func(name string, change func([]byte) []byte) string {
		p := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(p, change(bytes.Clone(data)), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	cases := map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"half":    {func(b []byte) []byte { return b[:len(b)/2] }, ErrTruncated},
		"header":  {func(b []byte) []byte { return b[:100] }, ErrUnreadable},
		"backing": {func(b []byte) []byte { b[15] = 200; return b }, ErrHostile},
		"data":    {func(b []byte) []byte { b[79] |= 4; return b }, ErrHostile},
		"l1":      {func(b []byte) []byte { b[36] = 0xff; return b }, ErrUnreadable},
		"size":    {func(b []byte) []byte { b[24] = 0xff; return b }, ErrUnreadable},
		"version": {func(b []byte) []byte { b[7] = 9; return b }, ErrUnreadable},
		"noise":   {func(b []byte) []byte { return bytes.Repeat([]byte("x"), 1024) }, ErrUnreadable},
	}
	for name, c := range cases {
		if _, err := Inspect(bend(name, c.change)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A cancelled or failed export leaves nothing that looks finished.
func TestCancelLeavesNothing(t *testing.T) {
	raw := sample(t, 200<<20)
	dir := t.TempDir()
	src, err := OpenRaw(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range []Sink{Qcow2{filepath.Join(dir, "a.qcow2")}, Raw{filepath.Join(dir, "a.raw")}} {
		if err := s.Take(ctx, src, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%T: %v, want cancelled", s, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03"))
	p := filepath.Join(f.TempDir(), "x") // one file: a folder for each run takes longer than the run
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = Inspect(p) // must not panic or allocate without bound
	})
}
