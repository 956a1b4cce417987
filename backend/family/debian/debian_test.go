package debian

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"ingot/backend/target"
	"ingot/resources"
)

func TestPackagesFromApt(t *testing.T) {
	index, err := readPackages([]byte("Ingot-Repository: http://mirror/debian/\n\nPackage: a\nVersion: 1:2.0-1\nArchitecture: arm64\nSource: src (3)\nSize: 10\nSHA256: aa\nFilename: pool/a.deb\nDescription: x\n more\n\nPackage: b\nVersion: 1\nArchitecture: all\nSize: 5\nSHA256: bb\nFilename: pool/b.deb\n\n"),
		func(uri string) string { return map[string]string{"http://mirror/debian/": "debian"}[uri] })
	if err != nil {
		t.Fatal(err)
	}
	got, err := pick([]byte("Reading package lists...\n'http://mirror/debian/pool/b.deb' b_1_all.deb 5 SHA256:bb\n'http://mirror/debian/pool/a.deb' a_1%3a2.0-1_arm64.deb 10 SHA256:aa\n"), index)
	if err != nil || len(got) != 2 || got[0].Version != "1:2.0-1" || got[0].Source != "src=3" || got[1].Source != "b=1" || got[0].Archive != "debian" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := pick([]byte("'http://x/c.deb' c_1_all.deb 5 SHA256:cc\n"), index); err == nil {
		t.Error("a package that no verified index names was taken")
	}
	if w := without(got, got[:1]); len(w) != 1 || w[0].Name != "b" {
		t.Errorf("without: %+v", w)
	}
}

// The kernel source is exactly one package; otherwise the error names the recipe's key.
func TestKernelSource(t *testing.T) {
	index := map[string]target.LockedPackage{
		"s\x001\x00all": {Name: "s", Version: "1", SHA256: "aa", Archive: "debian"},
		"t\x001\x00all": {Name: "t", Version: "1", SHA256: "bb", Archive: "debian"},
	}
	const s, other = "'http://x/s.deb' s_1_all.deb 5 SHA256:aa\n", "'http://x/t.deb' t_1_all.deb 5 SHA256:bb\n"
	if got, err := kernelSource("s", []byte(s), index); err != nil || got.Name != "s" {
		t.Errorf("one package: %+v, %v", got, err)
	}
	for uris, want := range map[string]string{
		"":        "kernel.sourcePackage s: apt downloads 0 packages",
		s + other: "kernel.sourcePackage s: apt downloads 2 packages",
		"'x'\n":   "kernel source s: apt printed",
	} {
		if _, err := kernelSource("s", []byte(uris), index); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%q: got %v, want %q", uris, err, want)
		}
	}
}

// The image's own apt uses the public archives.
func TestAptSources(t *testing.T) {
	r := target.Recipe{Archives: []target.Archive{{URI: "http://deb.debian.org/debian", Suites: []string{"bookworm", "bookworm-updates"}, Components: []string{"main", "contrib"}}}}
	const want = "deb http://deb.debian.org/debian bookworm main contrib\ndeb http://deb.debian.org/debian bookworm-updates main contrib\n"
	if got := aptSources(r); len(got) != 1 || got[0].Path != "/etc/apt/sources.list" || got[0].Content != want {
		t.Errorf("%+v", got)
	}
}

// The epoch is the newest date of the suites; an unreadable date is ignored.
func TestEpoch(t *testing.T) {
	suite := func(dates ...string) (l target.Lock) {
		for _, d := range dates {
			l.Suites = append(l.Suites, target.LockedSuite{Date: d})
		}
		return l
	}
	for _, c := range []struct {
		lock target.Lock
		want int64
	}{
		{suite("Sat, 11 Jul 2026 10:16:37 UTC", "Fri, 10 Jul 2026 10:16:37 UTC"), 1783764997},
		{suite("yesterday"), 1},
		{suite(), 1},
	} {
		if got := epoch(c.lock); got != c.want {
			t.Errorf("%+v: %d, want %d", c.lock.Suites, got, c.want)
		}
	}
}

// SourceURLs gives the source of each package, for those who receive an image.
func TestSourceURLs(t *testing.T) {
	r := target.Recipe{Archives: []target.Archive{{Name: "debian", URI: "http://deb.debian.org/debian/"}}}
	p := target.LockedPackage{Archive: "debian", Filename: "pool/main/a/a.deb", Source: "a=1:2"}
	if got := strings.Join(Family{}.SourceURLs(r, p), " "); got != "http://deb.debian.org/debian/pool/main/a/ https://snapshot.debian.org/package/a/1:2/" {
		t.Error(got)
	}
}

// The names of the inputs are fixed: another name would invalidate the builds of every
// home.
func TestInputs(t *testing.T) {
	l := target.Lock{Kernel: target.LockedPackage{Name: "k", Version: "1", SHA256: "aa"}}
	for step, want := range map[string]string{
		"kernel": "programs script kernel.sh source", "rootfs": "packages programs script rootfs.sh time",
		"image": "programs script contents.sh script disk.sh time", "tools": "packages programs script tools.sh time",
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(Family{}.Inputs(step, l))), " "); got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
}

// A missing required key is reported by its name.
func TestCheck(t *testing.T) {
	for key, spoil := range map[string]func(*target.Recipe){
		"kernel.sourcePackage": func(r *target.Recipe) { r.Kernel.SourcePackage = "" },
		"kernel.configs":       func(r *target.Recipe) { r.Kernel.Configs = nil },
		"kernel.image":         func(r *target.Recipe) { r.Kernel.Image = "" },
		"rootfs.packages":      func(r *target.Recipe) { r.Rootfs.Packages = nil },
		"archives":             func(r *target.Recipe) { r.Archives = nil },
		"disk.loader":          func(r *target.Recipe) { r.Disk.Loader = "" },
		"":                     func(r *target.Recipe) {},
	} {
		s, err := target.Load(resources.FS, "", Family{}.Check) // loaded again, since a case changes it
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Get("debian-12-arm64")
		if err != nil {
			t.Fatal(err)
		}
		spoil(&r)
		ps := Family{}.Check(r)
		if key == "" && len(ps) > 0 || key != "" && (len(ps) != 1 || ps[0].Key != key || ps[0].Path != "$."+key || ps[0].Msg != "is required and missing or empty") {
			t.Errorf("%s: %+v", key, ps)
		}
	}
}
