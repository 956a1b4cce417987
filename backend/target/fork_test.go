package target

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/resources"
)

// A fork differs from the target that it extends only in name and title, and builds
// with the same lock.
func TestFork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "targets")
	s, err := Load(resources.FS, dir, onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	file, err := s.Fork("debian-12-arm64", "mine")
	if err != nil || file != filepath.Join(dir, "mine.yaml") {
		t.Fatalf("%s, %v", file, err)
	}
	if s, err = Load(resources.FS, dir, onlyDebian); err != nil {
		t.Fatal(err)
	}
	base, err := s.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	fork, err := s.Get("mine")
	if err != nil || s.Problem("mine") != nil {
		t.Fatal(err, s.Problem("mine"))
	}
	if fork.Origin() != file || fork.LockName() != "debian-12-arm64" || fork.Title != base.Title+" (mine)" || s.LockPath(fork) != filepath.Join(dir, "debian-12-arm64.lock.yaml") {
		t.Errorf("read from %s with lock %s (%s), title %q", fork.Origin(), fork.LockName(), s.LockPath(fork), fork.Title)
	}
	lock, digest, err := s.LockOf(fork)
	if err != nil || lock.Check(fork) != nil || digest != lock.Digest() {
		t.Errorf("the lock does not fit: %v, %v", err, lock.Check(fork))
	}
	if fork.Variant != "mine" {
		t.Errorf("its files have the names of the variant %s", fork.Variant)
	}
	fork.Name, fork.Title, fork.Variant, fork.Extends, fork.Lock = base.Name, base.Title, base.Variant, base.Extends, base.Lock
	if fork.Digest() != base.Digest() {
		t.Error("the fork means something else than its base")
	}
}

// A fork that is refused is reported with file and reason; nothing is written, and no
// file of the user is changed.
func TestForkRefuses(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("apiVersion: ingot/v1\nkind: Target\nname: broken\nextends: debian-12-arm64\nnonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(resources.FS, dir, onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	nowhere, err := Load(resources.FS, "", onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		set      *Set
		from, as string
		want     string
	}{
		"unknown base":     {s, "nobody", "mine", `there is no target "nobody"`},
		"broken base":      {s, "broken", "mine", broken + ":5: key \"nonsense\""},
		"a shipped name":   {s, "debian-12-arm64", "debian-13-arm64", `there is a target "debian-13-arm64" already`},
		"a broken one":     {s, "debian-12-arm64", "broken", `there is a target "broken" already`},
		"upwards":          {s, "debian-12-arm64", "../mine", `key "name": "../mine" is not a target name; accepted: lower-case letters`},
		"no user's folder": {nowhere, "debian-12-arm64", "mine", `mine.yaml: key "name"`},
	} {
		_, err := c.set.Fork(c.from, c.as)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d files, %v", len(left), err)
	}
	path := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(path, []byte("written since the set was read"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fork("debian-12-arm64", "mine"); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "written since the set was read" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

// A broken target has a problem of the class input.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.yaml"), []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(resources.FS, dir, onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Problem("empty"); err == nil || !strings.Contains(err.Error(), "empty.yaml: the file is empty") || cause.IDOf(err) != "config.invalid" || cause.ClassOf(err) != cause.Input {
		t.Errorf("empty: %v, cause %q", err, cause.IDOf(err))
	}
	if err := s.Problem("debian-12-arm64"); err != nil {
		t.Error(err)
	}
	_, err = s.Get("nobody")
	if !IsUnknown(err) || IsUnknown(s.Problem("empty")) || IsUnknown(nil) || cause.ClassOf(err) != cause.Input {
		t.Errorf("unknown: %v", err)
	}
	_, err = s.Lock(Recipe{Name: "nobody"})
	var stale *StaleLockError
	if !errors.As(err, &stale) || cause.IDOf(err) != "config.lock-stale" || cause.ClassOf(err) != cause.Input || !strings.Contains(err.Error(), "run `ingot target update nobody`") {
		t.Errorf("no lock: %v", err)
	}
}

// A recipe's fragment is a file beside the targets; a path to a parent folder is
// refused.
func TestFragment(t *testing.T) {
	dir := t.TempDir()
	s, err := Load(resources.FS, dir, onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	name := r.Kernel.Configs[0]
	if file, data, err := s.Fragment(name); err != nil || len(data) == 0 || file != "resources/kernel/"+name {
		t.Errorf("shipped: %s, %d bytes, %v", file, len(data), err)
	}
	path := filepath.Join(dir, "kernel", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("CONFIG_MINE=y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if file, data, err := s.Fragment(name); err != nil || string(data) != "CONFIG_MINE=y\n" || file != path {
		t.Errorf("the user's: %s, %q, %v", file, data, err)
	}
	for _, bad := range []string{"../debian-12-arm64.yaml", "/etc/passwd", "no-such.config"} {
		if _, _, err := s.Fragment(bad); err == nil || !strings.Contains(err.Error(), `kernel fragment "`+bad+`"`) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A missing required key is reported by its name.
func TestRequiredKeys(t *testing.T) {
	for key, spoil := range map[string]func(*Recipe){
		"release":             func(r *Recipe) { r.Release = "" },
		"variant":             func(r *Recipe) { r.Variant = "" },
		"archives[0].name":    func(r *Recipe) { r.Archives[0].Name = "" },
		"archives[0].suites":  func(r *Recipe) { r.Archives[0].Suites = nil },
		"archives[0].keyring": func(r *Recipe) { r.Archives[0].Keyring = "" },
		"export.formats":      func(r *Recipe) { r.Export.Formats = nil },
	} {
		s, err := Load(resources.FS, "", onlyDebian) // loaded again, since a case changes it
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Get("debian-12-arm64")
		if err != nil {
			t.Fatal(err)
		}
		spoil(&r)
		ps := r.validate(onlyDebian)
		if len(ps) != 1 || ps[0].Key != key || ps[0].Msg != "is required and missing or empty" {
			t.Errorf("%s: %+v", key, ps)
		}
	}
	r := Recipe{Rootfs: Rootfs{Files: []File{{Path: "/a", Mode: "rw-"}}, Links: []Link{{Path: "a/.."}}}}
	keys := map[string]string{}
	for _, p := range r.validate(onlyDebian) {
		keys[p.Key] = p.Msg
	}
	for key, want := range map[string]string{"rootfs.files[0].mode": `accepted: octal like "0644"`, "rootfs.links[0].path": "absolute path inside the image"} {
		if !strings.Contains(keys[key], want) {
			t.Errorf("%s: %q, want %q", key, keys[key], want)
		}
	}
}
