package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const mib = 1 << 20

// qemu runs one of QEMU's tools in dir.
func qemu(t *testing.T, dir string, args ...string) {
	t.Helper()
	needQemuImg(t)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// scribble makes an image's writes: data, zeros, discards and, for some,
// compressed clusters, at places that depend on seed alone.
func scribble(t *testing.T, dir, file, format string, seed, size, cluster int64, packed bool) {
	t.Helper()
	rnd := rand.New(rand.NewSource(seed))
	args := []string{"qemu-io", "-f", format}
	for i := range min(5, size/cluster) * int64(b2i(packed)) { // first: QEMU packs no cluster twice
		args = append(args, "-c", fmt.Sprintf("write -c -P %d %d %d", 1+rnd.Intn(255), i*cluster, cluster))
	}
	for i := range 24 {
		off := rnd.Int63n(size/512-64) * 512
		n := (1 + rnd.Int63n(min(64, (size-off)/512))) * 512
		cmd := fmt.Sprintf("write -P %d %d %d", 1+rnd.Intn(255), off, n)
		switch {
		case format == "qcow2" && i%5 == 3:
			cmd = fmt.Sprintf("write -z %d %d", off, n)
		case format == "qcow2" && i%7 == 4:
			cmd = fmt.Sprintf("discard %d %d", off/cluster*cluster, cluster)
		}
		args = append(args, "-c", cmd)
	}
	qemu(t, dir, append(args, file)...)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// QEMU's own reading of a chain and ours must agree byte for byte.
func TestOpenChainsAgainstQEMU(t *testing.T) {
	for _, c := range []struct {
		compat  string
		cluster int64
		depth   int
		base    string // format of the lowest file
		extra   string
		packed  bool
		size    int64
	}{
		{"1.1", 65536, 1, "qcow2", "", true, 20*mib + 512},
		{"1.1", 65536, 2, "qcow2", "", true, 20 * mib},
		{"0.10", 65536, 3, "qcow2", "", true, 20 * mib},
		{"1.1", 512, 3, "qcow2", "", true, 5 * mib},
		{"0.10", 4096, 2, "raw", "", false, 9*mib + 1536},
		{"1.1", 2 * mib, 3, "raw", "", true, 33*mib + 512},
		{"1.1", 2 * mib, 1, "qcow2", "compression_type=zstd", true, 30 * mib},
		{"1.1", 65536, 2, "raw", "compression_type=zstd", true, 20 * mib},
		{"1.1", 65536, 2, "qcow2", "lazy_refcounts=on", false, 20 * mib},
	} {
		t.Run(fmt.Sprintf("%s-%d-%d-%s%s", c.compat, c.cluster, c.depth, c.base, c.extra), func(t *testing.T) {
			dir := t.TempDir()
			below, format := "", c.base
			top := ""
			for i := range c.depth {
				top = fmt.Sprintf("d%d", i)
				size := c.size - int64(i%2)*mib // a layer may be smaller than the one that it stands on
				if format == "raw" {
					qemu(t, dir, "qemu-img", "create", "-q", "-f", "raw", top, fmt.Sprint(size))
				} else {
					opts := fmt.Sprintf("compat=%s,cluster_size=%d", c.compat, max(512, c.cluster>>(2*i)))
					if i == c.depth-1 {
						opts = fmt.Sprintf("compat=%s,cluster_size=%d", c.compat, c.cluster)
					}
					if c.extra != "" {
						opts += "," + c.extra
					}
					args := []string{"qemu-img", "create", "-q", "-f", "qcow2", "-o", opts}
					if below != "" {
						args = append(args, "-b", below, "-F", map[bool]string{true: c.base, false: "qcow2"}[i == 1])
					}
					qemu(t, dir, append(args, top, fmt.Sprint(size))...)
				}
				scribble(t, dir, top, format, int64(i+1), size, c.cluster, c.packed && format == "qcow2" && i < c.depth-1 || c.packed && c.depth == 1)
				below, format = top, "qcow2"
			}
			format = map[bool]string{true: c.base, false: "qcow2"}[c.depth == 1]
			qemu(t, dir, "qemu-img", "convert", "-f", format, "-O", "raw", top, "want.raw")
			compareChain(t, filepath.Join(dir, top), filepath.Join(dir, "want.raw"), c.depth, dir)
		})
	}
}

func compareChain(t *testing.T, file, raw string, depth int, allowed string) {
	t.Helper()
	im, err := Open(file, allowed)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if im.Size() != int64(len(want)) || len(im.Layers()) != depth {
		t.Fatalf("size %d of %d, %d layers of %d", im.Size(), len(want), len(im.Layers()), depth)
	}
	got := make([]byte, len(want))
	if n, err := im.ReadAt(got, 0); err != nil || n != len(got) {
		t.Fatalf("read %d: %v", n, err)
	}
	if !bytes.Equal(got, want) {
		t.Error("other bytes than QEMU reads")
	}
	var last int64
	for e, err := range im.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Length <= 0 || e.Offset < last || !allZero(want[last:e.Offset]) {
			t.Fatalf("extent %+v after %d leaves data out", e, last)
		}
		last = e.Offset + e.Length
	}
	if !allZero(want[last:]) || last == 0 {
		t.Error("data after the last extent")
	}
	out := filepath.Join(t.TempDir(), "out.qcow2")
	if err := (Qcow2{out}).Take(context.Background(), im, nil); err != nil {
		t.Fatal(err)
	}
	qemu(t, ".", "qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, out)
	if err := im.Unchanged(); err != nil {
		t.Error(err)
	}
}

// Nothing outside what the caller allowed is opened, however it is named.
func TestOpenRefuses(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, bytes.Repeat([]byte("s"), mib), 0o600); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "base")
	qemu(t, dir, "qemu-img", "create", "-q", "-f", "raw", own, "1M")
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "folder")); err != nil {
		t.Fatal(err)
	}
	overlay := func(name, backing string) string {
		p := filepath.Join(dir, name)
		qemu(t, dir, "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "raw", p, "1M")
		return p
	}
	rel, err := filepath.Rel(dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		backing string
		want    error
	}{
		"absolute":  {secret, ErrHostile},
		"relative":  {rel, ErrHostile},
		"link":      {"link", ErrHostile},
		"folder":    {"folder/secret", ErrHostile},
		"json":      {`json:{"driver":"file","filename":"` + own + `"}`, ErrHostile},
		"nbd":       {"nbd://127.0.0.1:1/x", ErrHostile},
		"http":      {"http://127.0.0.1:1/x", ErrHostile},
		"file":      {"file:" + own, ErrHostile},
		"device":    {"/dev/zero", ErrHostile},
		"gone":      {filepath.Join(dir, "gone"), ErrNoBacking},
		"elsewhere": {filepath.Join(outside, "gone"), ErrHostile},
		"own":       {own, nil},
		"beside":    {"base", nil},
	} {
		im, err := Open(overlay("o-"+name, c.backing), dir)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if errors.Is(c.want, ErrHostile) && !strings.Contains(err.Error(), flatten) {
			t.Errorf("%s: %v does not say how to flatten the image", name, err)
		}
		if err == nil {
			im.Close()
		}
	}
	if _, err := Open(overlay("none", own)); !errors.Is(err, ErrHostile) {
		t.Errorf("nothing is allowed: %v", err)
	}
	if im, err := Open(overlay("exact", own), own); err != nil {
		t.Errorf("the file itself is allowed: %v", err)
	} else {
		im.Close()
	}
	if _, err := Open(overlay("missing", filepath.Join(dir, "gone")), filepath.Join(dir, "gone")); !errors.Is(err, ErrNoBacking) {
		t.Errorf("the file that is allowed is missing: %v", err)
	}
	qemu(t, dir, "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "loop", "-F", "qcow2", "tail", "1M")
	if err := os.Rename(filepath.Join(dir, "tail"), filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "loop"), dir); !errors.Is(err, ErrHostile) {
		t.Errorf("a chain that bites its tail: %v", err)
	}
}

// Bent files are refused with the kind of error that tells what they are.
func TestOpenBent(t *testing.T) {
	dir := t.TempDir()
	qemu(t, dir, "qemu-img", "create", "-q", "-f", "qcow2", "q", "64M")
	qemu(t, dir, "qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", "q")
	good, err := os.ReadFile(filepath.Join(dir, "q"))
	if err != nil {
		t.Fatal(err)
	}
	l1 := binary.BigEndian.Uint64(good[40:])
	l2 := binary.BigEndian.Uint64(good[l1:]) & offsetMask
	for name, c := range map[string]struct {
		change func([]byte)
		want   error
	}{
		"encrypted": {func(b []byte) { b[35] = 1 }, ErrUnreadable},
		"data file": {func(b []byte) { b[79] |= 4 }, ErrHostile},
		"corrupt":   {func(b []byte) { b[79] |= 2 }, ErrUnreadable},
		"extended":  {func(b []byte) { b[79] |= 16 }, ErrUnreadable},
		"unknown":   {func(b []byte) { b[72] = 1 }, ErrUnreadable},
		"huge":      {func(b []byte) { b[24] = 0x7f }, ErrUnreadable},
		"short l1":  {func(b []byte) { b[27] = 1 }, ErrUnreadable},
		"far l1":    {func(b []byte) { b[41] = 0x7f }, ErrTruncated},
		"far table": {func(b []byte) { b[l1+3] = 0x7f }, ErrTruncated},
		"far data":  {func(b []byte) { b[l2+3] = 0x7f }, ErrTruncated},
		"bomb": {func(b []byte) {
			for i := range uint64(8192) {
				copy(b[l2+8*i:], b[l2:l2+8])
			}
		}, ErrHostile},
		"asif": {func(b []byte) { copy(b, asifMagic) }, ErrUnreadable},
	} {
		p := filepath.Join(dir, "bent")
		b := bytes.Clone(good)
		c.change(b)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(p, dir); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Open(dir); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a folder: %v", err)
	}
}

func FuzzChain(f *testing.F) {
	head := make([]byte, 65536*3)
	copy(head, "QFI\xfb\x00\x00\x00\x03")
	binary.BigEndian.PutUint32(head[20:], 9)
	binary.BigEndian.PutUint64(head[24:], 1<<16)
	binary.BigEndian.PutUint32(head[36:], 2)
	binary.BigEndian.PutUint64(head[40:], 512)
	binary.BigEndian.PutUint32(head[100:], 104)
	binary.BigEndian.PutUint64(head[512:], 1024)
	binary.BigEndian.PutUint64(head[1024:], 1536)
	binary.BigEndian.PutUint64(head[1032:], 1<<62|1536)
	f.Add(head[:2048])
	p := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		im, err := Open(p, filepath.Dir(p))
		if err != nil {
			return
		}
		defer im.Close()
		b := make([]byte, 4096)
		read := 0
		for e, err := range im.Extents() {
			if err != nil || read > 64 {
				return
			}
			read++
			_, _ = im.ReadAt(b, e.Offset)
		}
	})
}
