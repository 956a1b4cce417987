package image

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/guest/notes"
	"ingot/backend/target"
)

func frag(name, text string) Fragment { return Fragment{name, []byte(text)} }

// Symbols that do not exist or do not stick are errors with their place.
func TestCheckConfig(t *testing.T) {
	wanted, err := mergeFragments([]Fragment{frag("base", "# comment\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_S=\"x\"\n# CONFIG_OFF is not set\n"), frag("arch", "\nCONFIG_B=y\nCONFIG_GHOST=y\n")})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"A": true, "B": true, "S": true, "OFF": true}
	err = checkConfig(wanted, []byte("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\nCONFIG_OFF=y\n"), known)
	var sym *SymbolError
	if !errors.As(err, &sym) || cause.Of(err) != "config.symbol" || len(sym.Problems) != 3 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"arch:2: CONFIG_B=y did not stick, it is n", "arch:3: CONFIG_GHOST does not exist", "base:5: CONFIG_OFF=n did not stick, it is y"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	delete(wanted, "CONFIG_GHOST")
	if err := checkConfig(wanted, []byte("CONFIG_A=y\nCONFIG_B=y\nCONFIG_S=\"x\"\n"), known); err != nil {
		t.Errorf("all stuck: %v", err)
	}
	if _, err := mergeFragments([]Fragment{frag("bad", "CONFIG_A y\n")}); !errors.As(err, &sym) || !strings.Contains(err.Error(), "bad:1") {
		t.Errorf("no setting: %v", err)
	}
}

func TestLineCounter(t *testing.T) {
	var got int64
	c := &lineCounter{match: objectLine, total: 2, progress: func(done, total int64) { got = done }}
	for _, s := range []string{"  CC      init/ma", "in.o\n  LD [M]  net/x.ko\nwarning: CC\n", "  HOSTCC  scripts/a\n" + strings.Repeat("x", 10000)} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got != 3 {
		t.Errorf("%d objects, want 3", got)
	}
}

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

// Mirrors are for transport: the addresses tried are the mirror's, then the
// public one.
func TestMirrorURLs(t *testing.T) {
	r := target.Recipe{Archives: []target.Archive{{Name: "debian", URI: "http://deb.debian.org/debian/"}}}
	p := target.LockedPackage{Archive: "debian", Filename: "pool/a.deb"}
	got := Mirrors{"debian": "http://near/debian"}.URLs(r, p)
	if strings.Join(got, " ") != "http://near/debian/pool/a.deb http://deb.debian.org/debian/pool/a.deb" {
		t.Error(got)
	}
}

func TestOverlayIsRootsAndDeterministic(t *testing.T) {
	r := target.Recipe{Archives: []target.Archive{{URI: "http://deb.debian.org/debian", Suites: []string{"bookworm"}, Components: []string{"main"}}},
		Rootfs: target.Rootfs{Files: []target.File{{Path: "/etc/x", Mode: "0600", Content: "y"}}, Links: []target.Link{{Path: "/etc/l", To: "x"}}}}
	a, err := overlayTar(r, parseMust(t))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := overlayTar(r, parseMust(t))
	if string(a) != string(b) || !strings.Contains(string(a), "deb http://deb.debian.org/debian bookworm main") {
		t.Error("the overlay is not deterministic, or has no sources")
	}
}

func TestBuildIDFromNotes(t *testing.T) {
	note := []byte("\x04\x00\x00\x00\x14\x00\x00\x00\x03\x00\x00\x00GNU\x00abcdefghijklmnopqrst")
	other := []byte("\x06\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00Linux\x00\x00\x00x\x00\x00\x00")
	if got := notes.BuildID(append(other, note...)); got != "6162636465666768696a6b6c6d6e6f7071727374" {
		t.Errorf("%q", got)
	}
	for _, bad := range [][]byte{nil, note[:20], []byte("\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00\x00\x00"), other} {
		if got := notes.BuildID(bad); got != "" {
			t.Errorf("%x gave %q", bad, got)
		}
	}
}

func TestUUIDs(t *testing.T) {
	a, b := deriveUUID("k", "disk"), deriveUUID("k", "esp")
	if a == b || a != deriveUUID("k", "disk") || len(a) != 36 || a[14] != '8' {
		t.Errorf("%s %s", a, b)
	}
}

func parseMust(t *testing.T) time.Time {
	t.Helper()
	at, err := parseReleaseDate("Sat, 11 Jul 2026 10:16:37 UTC")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Modes are part of an image's bytes: every script sets the umask before it
// makes anything, so that the user's does not count.
func TestScriptsSetTheUmask(t *testing.T) {
	files, err := scripts.ReadDir("scripts")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, f := range files {
		text, err := scripts.ReadFile("scripts/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if first := firstCommands(string(text), 2); len(first) < 2 || first[0] != "set -eu" || first[1] != "umask 022" {
			t.Errorf("%s begins with %q", f.Name(), first)
		}
	}
}

// firstCommands are the first n lines of a script that are no comments.
func firstCommands(script string, n int) []string {
	var out []string
	for line := range strings.Lines(script) {
		command, _, _ := strings.Cut(line, "#")
		if command = strings.TrimSpace(command); command != "" && len(out) < n {
			out = append(out, command)
		}
	}
	return out
}
