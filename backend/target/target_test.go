package target

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"ingot/resources"
)

// onlyDebian replaces the table of the families, which is in a package above this one.
// Package family/all tests the real table.
func onlyDebian(r Recipe) []Problem {
	return OneOf("$.os", "os", r.OS, []string{"debian"})
}

// The shipped targets must load with locks that fit, and there must be no others.
func TestShippedTargets(t *testing.T) {
	s, err := Load(resources.FS, "", onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Names(), " "); got != "debian-12-amd64 debian-12-arm64 debian-13-arm64" {
		t.Errorf("shipped targets: %s", got)
	}
	for _, name := range s.Names() {
		r, err := s.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Lock(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Check(r); err != nil {
			t.Error(err)
		}
		for _, p := range append(l.Rootfs, l.Kernel) {
			if len(p.SHA256) != 64 || p.Size == 0 || p.Filename == "" || strings.Contains(p.Filename, "://") {
				t.Errorf("%s: package %+v is not pinned", name, p)
			}
		}
	}
}

func shipped(t *testing.T) []byte {
	t.Helper()
	b, err := resources.FS.ReadFile("targets/debian-12-arm64.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every mistake must be reported with file, line, key and the accepted values.
func TestMistakes(t *testing.T) {
	text := string(shipped(t))
	cases := []struct{ name, from, to, wantLine, wantKey, wantMsg string }{
		{"unknown key", "variant: server", "variant: server\nflavour: x", "flavour: x", "flavour", "no such key"},
		{"unknown nested key", "  esp: 64MiB", "  esp: 64MiB\n  efi: 1", "  efi: 1", "efi", "no such key"},
		{"arch", "arch: arm64", "arch: aarch64", "arch: aarch64", "arch", "accepted: arm64, amd64"},
		{"os", "os: debian", "os: plan9", "os: plan9", "os", "accepted: debian"},
		{"size", "size: 3GiB", "size: huge", "size: huge", "", "is not a size"},
		{"duration", "firmware: 90s", "firmware: soon", "firmware: soon", "", "is not a duration"},
		{"format", "formats: [qcow2]", "formats: [vmdk]", "formats: [vmdk]", "export.formats", "qcow2, raw, raw.zst, utm.zip, tar.zst"},
		{"api version", "apiVersion: ingot/v1", "apiVersion: ingot/v9", "apiVersion: ingot/v9", "apiVersion", "accepted: ingot/v1"},
		{"relative path", "path: /etc/fstab", "path: etc/../fstab", "path: etc/../fstab", "rootfs.files[1].path", "absolute path"},
		{"mirror scheme", "uri: http://deb.debian.org/debian\n", "uri: ftp://x\n", "uri: ftp://x", "archives[0].uri", "accepted: http://"},
		{"archive without host", "uri: http://deb.debian.org/debian\n", "uri: http:///debian\n", "uri: http:///debian", "archives[0].uri", "accepted: http://"},
		{"archive with password", "uri: http://deb.debian.org/debian\n", "uri: http://me:hush@deb.debian.org/debian\n", "uri: http://me:hush", "archives[0].uri", "the address contains a user name"},
		{"other name", "name: debian-12-arm64", "name: debian-13-arm64", "name: debian-13-arm64", "name", "accepted: \"debian-12-arm64\""},
		{"broken yaml", "kernel:\n", "kernel: [\n", "", "", ""},
	}
	for _, c := range cases {
		if !strings.Contains(text, c.from) {
			t.Fatalf("%s: the recipe has no %q", c.name, c.from)
		}
		changed := strings.Replace(text, c.from, c.to, 1)
		dir := t.TempDir()
		file := filepath.Join(dir, "debian-12-arm64.yaml")
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(resources.FS, dir, onlyDebian)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Get("debian-12-arm64")
		var bad *Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v, want *Error", c.name, err)
			continue
		}
		if bad.File != file || bad.Line == 0 || !strings.Contains(bad.Msg, c.wantMsg) || c.wantKey != "" && bad.Key != c.wantKey {
			t.Errorf("%s: %+v, want key %q, message %q", c.name, bad, c.wantKey, c.wantMsg)
		}
		if lines := strings.Split(changed, "\n"); c.wantLine != "" && (bad.Line > len(lines) || !strings.Contains(lines[bad.Line-1], strings.TrimSpace(c.wantLine))) {
			t.Errorf("%s: line %d is %q, want %q", c.name, bad.Line, lines[min(bad.Line, len(lines))-1], c.wantLine)
		}
	}
}

func TestExtends(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := "apiVersion: ingot/v1\nkind: Target\n"
	write("mine", head+"name: mine\nextends: debian-12-arm64\nvariant: mine\ndisk: {size: 8GiB}\nexport: {formats: [raw]}\n")
	write("loop-a", head+"name: loop-a\nextends: loop-b\n")
	write("loop-b", head+"name: loop-b\nextends: loop-a\n")
	write("orphan", head+"name: orphan\nextends: nobody\n")
	write("debian-12-arm64", head+"name: debian-12-arm64\nextends: debian-12-arm64\nproof: {cpus: 4}\n")
	s, err := Load(resources.FS, dir, onlyDebian)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Get("mine")
	if err != nil {
		t.Fatal(err)
	}
	if r.Disk.Size != 8<<30 || r.Disk.ESP != 64<<20 || r.Variant != "mine" || len(r.Export.Formats) != 1 || r.Export.Formats[0] != "raw" || r.Kernel.SourcePackage == "" || r.Proof.CPUs != 4 {
		t.Errorf("merged: %+v", r)
	}
	for name, want := range map[string]string{"loop-a": "loop-b.yaml:4: key \"extends\": the target extends itself: loop-a → loop-b → loop-a", "orphan": "there is no target \"nobody\""} {
		var bad *Error
		if _, err := s.Get(name); !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var unknown *UnknownError
	if _, err := s.Get("nothing"); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "debian-12-arm64") {
		t.Errorf("unknown target: %v", err)
	}
}

func TestLockFitsItsRecipe(t *testing.T) {
	r := Recipe{Name: "t", Arch: "arm64", Kernel: Kernel{SourcePackage: "linux-source-6.1"}, Rootfs: Rootfs{Packages: []string{"b", "a"}}}
	l := Lock{APIVersion: APIVersion, Kind: "Lock", Target: "t", Asked: r.Asked(), Suites: []LockedSuite{}, Smoke: LockedPackages{}, Kernel: LockedPackage{Name: "k", SHA256: "x"}, Rootfs: LockedPackages{{Name: "a", Version: "1:2", SHA256: "y"}}}
	text, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseLock("t.lock.yaml", text)
	if err != nil || back.Digest() != l.Digest() || back.Check(r) != nil {
		t.Fatalf("round trip: %v\n%s", err, text)
	}
	r.Rootfs.Packages = []string{"a", "b"} // the order has no effect
	if err := back.Check(r); err != nil {
		t.Error(err)
	}
	var stale *StaleLockError
	r.Rootfs.Packages = append(r.Rootfs.Packages, "c")
	if err := back.Check(r); !errors.As(err, &stale) || !strings.Contains(err.Error(), "ingot target update t") {
		t.Errorf("another package: %v", err)
	}
	if err := (Lock{}).Check(r); !errors.As(err, &stale) {
		t.Errorf("no lock: %v", err)
	}
	if _, err := ParseLock("x", []byte("kind: Other\napiVersion: ingot/v1\n")); err == nil {
		t.Error("another kind was taken for a lock")
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]Size{"3GiB": 3 << 30, "64MiB": 64 << 20, "512KiB": 512 << 10, "4096": 4096} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "GiB", "-1GiB", "3GB", "0", "99999999999999999999"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q gave %d", in, got)
		}
	}
}

func FuzzRecipe(f *testing.F) {
	f.Add([]byte("apiVersion: ingot/v1\nkind: Target\nname: x\nos: debian\nrelease: \"12\"\narch: arm64\nkernel: {configs: [a.config], objects: 1}\nrootfs:\n  packages: [udev]\n  files:\n    - {path: /etc/x, content: y}\n"))
	f.Add([]byte("apiVersion: ingot/v1\nkind: Target\nname: x\nextends: y\ndisk: {size: 3GiB}\n"))
	f.Add([]byte("apiVersion: ingot/v1\nkind: Target\nname: x\nkernel: {configs:!a.config, objects: 1}\n")) // a tag without a value
	base := &fstest.MapFile{Data: []byte("apiVersion: ingot/v1\nkind: Target\nname: y\nos: debian\n")}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Load(fstest.MapFS{"targets/x.yaml": {Data: data}, "targets/y.yaml": base}, "", onlyDebian)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Get("x") // must not panic
	})
}
