package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The bytes of the ranges are zeros, all others the source's, in reads of any length; the
// extents leave the ranges out.
func TestWithout(t *testing.T) {
	const size = 64 << 10
	data := bytes.Repeat([]byte{7}, size)
	file := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := OpenRaw(file)
	if err != nil {
		t.Fatal(err)
	}
	ranges := []Extent{{Offset: 0, Length: 512}, {Offset: 1000, Length: 1}, {Offset: 4096, Length: 8192}, {Offset: size - 100, Length: 100}}
	want := bytes.Clone(data)
	for _, r := range ranges {
		clear(want[r.Offset : r.Offset+r.Length])
	}
	w := Without(src, ranges)
	defer w.Close()
	for _, n := range []int{1, 511, 512, 4096, 5000, size} {
		for off := 0; off+n <= size; off += max(1, n/2+33) {
			got := make([]byte, n)
			if _, err := w.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, want[off:off+n]) {
				t.Fatalf("%d bytes at %d: %v", n, off, err)
			}
		}
	}
	covered := make([]byte, size)
	for e, err := range w.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		for i := e.Offset; i < e.Offset+e.Length; i++ {
			covered[i] = 7
		}
	}
	if !bytes.Equal(covered, want) {
		t.Error("the extents are not what is left")
	}
	for range w.Extents() {
		break // leaves at once
	}
}
