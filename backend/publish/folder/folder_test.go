package folder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/publish"
	"ingot/backend/publish/all"
	"ingot/backend/publish/folder"
	"ingot/backend/publish/publishtest"
)

func open(t *testing.T, dir string) publish.Publisher {
	t.Helper()
	p, err := all.Open("dir:"+dir, all.Access{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A release in a folder has the same layout as on an endpoint, may be published again,
// and is never overwritten.
func TestPublish(t *testing.T) {
	dir, s := filepath.Join(t.TempDir(), "images"), publishtest.Signer(t)
	p := open(t, dir)
	r := publishtest.ReleaseOf(t, "1", []byte("disk"))
	rec, err := p.Publish(t.Context(), r, publish.Options{Signer: s})
	if err != nil {
		t.Fatal(err)
	}
	if rec.DiskSHA256 != r.Files[0].SHA256 || !rec.Local || !strings.HasPrefix(rec.URL, "file:///") {
		t.Errorf("receipt: %+v", rec)
	}
	for _, name := range []string{"index.json", "index.html", "ingot.pub", "debian/12/arm64/latest.json", "debian/12/arm64/1/disk-1.qcow2", "debian/12/arm64/1/lima.yaml", "debian/12/arm64/1/SHA256SUMS.minisig"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "debian/12/arm64/1", ".ingot-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := p.Publish(t.Context(), r, publish.Options{Signer: s}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if _, err := p.Publish(t.Context(), publishtest.ReleaseOf(t, "1", []byte("other")), publish.Options{Signer: s}); cause.IDOf(err) != "publish.conflict" {
		t.Errorf("other bytes under the same version: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "debian/12/arm64/1/disk-1.qcow2")); err != nil || string(text) != "disk" {
		t.Errorf("overwritten: %q, %v", text, err)
	}
}

// A file whose bytes differ from its evidence leaves no object.
func TestChangedBytes(t *testing.T) {
	dir := t.TempDir()
	r := publishtest.ReleaseOf(t, "1", []byte("disk"))
	if err := os.WriteFile(r.Files[0].Path, []byte("dusk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Publish(t.Context(), r, publish.Options{Signer: publishtest.Signer(t)}); cause.IDOf(err) != "image.digest-changed" {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"index.json", "debian/12/arm64/1/disk-1.qcow2"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
}

// The catalogue has the releases of concurrent publishers.
func TestTwoAtOnce(t *testing.T) {
	dir, s := t.TempDir(), publishtest.Signer(t)
	var wg sync.WaitGroup
	for i := range 4 {
		r := publishtest.ReleaseOf(t, fmt.Sprint(i+1), []byte(fmt.Sprint("disk", i)))
		wg.Go(func() {
			if _, err := open(t, dir).Publish(context.Background(), r, publish.Options{Signer: s}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil || strings.Count(string(index), "\"disk\":") != 4 {
		t.Errorf("%v:\n%s", err, index)
	}
}

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	found, err := open(t, dir).Probe(t.Context())
	if err != nil || len(found) != 3 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, a := range found {
		if !a.OK {
			t.Errorf("%+v", a)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, file).Probe(t.Context()); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestNoPlace(t *testing.T) {
	for _, name := range []string{"", "moon", "dir", "dir:", "dir:relative", "dir:/", "ftp:/x"} {
		if _, err := all.Open(name, all.Access{}); cause.ClassOf(err) != cause.Input {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A reader does not leave its folder, and opens only regular files.
func TestReader(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := folder.Reader{Dir: dir}
	if f, err := r.Get(t.Context(), "a", 0, 1<<20); err != nil {
		t.Error(err)
	} else {
		_ = f.Close()
	}
	for _, name := range []string{"../a", "/etc/passwd", ".", "missing"} {
		if f, err := r.Get(t.Context(), name, 0, 1<<20); err == nil {
			_ = f.Close()
			t.Errorf("%q was read", name)
		}
	}
}

// A new publisher needs a type and a line in the table.
func TestOneMorePublisher(t *testing.T) {
	dir := t.TempDir()
	all.Schemes["throw-away"] = func(string, all.Access) (publish.Publisher, error) { return folder.Open(dir) }
	defer delete(all.Schemes, "throw-away")
	p, err := all.Open("throw-away:x", all.Access{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), publishtest.ReleaseOf(t, "1", []byte("disk")), publish.Options{Signer: publishtest.Signer(t)}); err != nil {
		t.Error(err)
	}
}

func TestConform(t *testing.T) {
	publishtest.Conform(t, func(t *testing.T) publishtest.Destination {
		dir := filepath.Join(t.TempDir(), "images")
		return publishtest.Destination{Publisher: open(t, dir), Reader: func(rel string) publish.Reader {
			return folder.Reader{Dir: filepath.Join(dir, filepath.FromSlash(rel))}
		}}
	})
}
