package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every format of the table is made of a disk or of a tree, never of both, and
// one that is bootable of a disk.
func TestFormats(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Formats {
		if f.Name == "" || f.Extension == "" || f.MediaType == "" || seen[f.Extension] {
			t.Errorf("%+v lacks a name, or has another format's extension", f)
		}
		seen[f.Extension] = true
		if (f.WriteDisk == nil) == (f.WriteTree == nil) || f.Bootable && f.WriteDisk == nil {
			t.Errorf("%s: made of a disk and a tree, or of neither", f.Name)
		}
	}
	var unknown *FormatError
	if _, err := FormatNamed("vmdk"); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "qcow2, raw, raw.zst, utm.zip, tar.zst") {
		t.Errorf("an unknown format: %v", err)
	}
	for name, want := range map[string]bool{"a/b.qcow2": true, "x.raw": true, "x.tar.zst": false, "x.raw.zst": false, "x.utm.zip": false, "qcow2": false, "x.qcow2.txt": false} {
		if BootableFile(name) != want {
			t.Errorf("BootableFile(%q) is %v", name, !want)
		}
	}
}

// A format is one value in the table: everything that lists, checks and writes
// formats knows it then.
func TestOneMoreFormat(t *testing.T) {
	defer func(before []Format) { Formats = before }(Formats)
	Formats = append(Formats[:len(Formats):len(Formats)], Format{Name: "sum", Extension: "sum", MediaType: "text/plain", Bootable: true,
		WriteDisk: func(_ context.Context, src Source, _ About, dst string, _ func(done, total int64)) error {
			return os.WriteFile(dst, []byte("x"), 0o600)
		}})
	if f, err := FormatNamed("sum"); err != nil || f.WriteDisk == nil || !BootableFile(filepath.Join("d", "x.sum")) || FormatNames()[len(FormatNames())-1] != "sum" {
		t.Errorf("%+v, %v", f, err)
	}
}
