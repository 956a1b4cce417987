package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A raw.zst is the raw image for every zstd decoder, each frame can be read alone by the
// table at the end, and the bytes are the same each time.
func TestRawZst(t *testing.T) {
	dir := t.TempDir()
	data := make([]byte, 2*seekFrame+512) // the last frame is short, the middle one is a hole
	for i := range data[:seekFrame] {
		data[i] = byte(i * i >> 7)
	}
	copy(data[2*seekFrame:], "the end")
	raw := filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(raw, data, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(name string) []byte {
		src, err := OpenRaw(raw)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		last := int64(0)
		if err := RawZst(t.Context(), src, filepath.Join(dir, name), func(done, total int64) {
			if done <= last || total != int64(len(data)) {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		}); err != nil {
			t.Fatal(err)
		}
		out, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || last != int64(len(data)) {
			t.Fatal(err, last)
		}
		return out
	}
	packed := write("a.raw.zst")
	if !bytes.Equal(packed, write("b.raw.zst")) {
		t.Error("two exports differ")
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := d.DecodeAll(packed, nil); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	le := binary.LittleEndian
	foot := packed[len(packed)-seekFooter:]
	count := int(le.Uint32(foot))
	if count != 3 || le.Uint32(foot[5:]) != seekMagic || foot[4] != 0 {
		t.Fatalf("the footer is %x", foot)
	}
	start := len(packed) - seekFooter - count*seekEntry
	if le.Uint32(packed[start-8:]) != skippable || int(le.Uint32(packed[start-4:])) != count*seekEntry+seekFooter {
		t.Errorf("the table's frame begins with %x", packed[start-8:start])
	}
	at, from := 0, 0
	for i := range count {
		size, whole := int(le.Uint32(packed[start+i*seekEntry:])), int(le.Uint32(packed[start+i*seekEntry+4:]))
		got, err := d.DecodeAll(packed[at:at+size], nil)
		if err != nil || !bytes.Equal(got, data[from:from+whole]) {
			t.Errorf("frame %d alone: %d of %d bytes, %v", i, len(got), whole, err)
		}
		at, from = at+size, from+whole
	}
	if at != start-8 || from != len(data) {
		t.Errorf("the frames end at %d of %d, of %d bytes", at, start-8, from)
	}
}

// brokenSource cannot be read after its first frame.
type brokenSource struct{ Source }

func (b brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, errors.New("the disk is broken")
	}
	return b.Source.ReadAt(p, off)
}

// A disk that cannot be read leaves no file, and so does one that is cancelled.
func TestRawZstFails(t *testing.T) {
	dir := t.TempDir()
	raw, dst := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "x.raw.zst")
	if err := errors.Join(os.WriteFile(raw, nil, 0o600), os.Truncate(raw, 20*seekFrame)); err != nil {
		t.Fatal(err)
	}
	src, err := OpenRaw(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := RawZst(t.Context(), brokenSource{src}, dst, nil); err == nil || err.Error() != "export raw.zst: the disk is broken" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := RawZst(ctx, src, dst, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*zst*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
