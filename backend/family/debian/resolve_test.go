package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/target"
)

// apt is a guest in which resolve.sh leaves prepared output of apt.
type apt struct {
	guest.Local
	leaves map[string]string
	fails  string // apt's message when it fails
	asked  string // the sources.list that it received
}

func (g *apt) Run(ctx context.Context, c guest.Cmd) error {
	if !strings.Contains(strings.Join(c.Argv, " "), "resolve.sh") {
		return g.Local.Run(ctx, c)
	}
	sources, err := os.ReadFile(filepath.Join(c.Dir, "sources.list"))
	if err != nil {
		return err
	}
	g.asked = string(sources)
	if g.fails != "" {
		return &guest.ExitError{Argv: c.Argv, Code: 100, Tail: g.fails}
	}
	for name, text := range g.leaves {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func stanza(name, version, source string) string {
	s := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: arm64\nSize: 7\nSHA256: %s\nFilename: pool/%s.deb\n", name, version, strings.Repeat("a", 64), name)
	if source != "" {
		s += "Source: " + source + "\n"
	}
	return s + "\n"
}

// A lock holds the packages that apt would download, separately for the root file
// system and the smoke checks, with the source of each package and the digests of the
// suites.
func TestResolve(t *testing.T) {
	r := target.Recipe{Name: "t", Arch: "arm64", Archives: []target.Archive{{Name: "debian", URI: "http://deb.example.org/debian", Suites: []string{"bookworm"}, Components: []string{"main"}, Keyring: "/k.gpg"}}}
	r.Kernel.SourcePackage, r.Rootfs.Packages = "linux-source-6.1", []string{"p"}
	good := map[string]string{
		"packages.txt": "Ingot-Repository: http://near.example.org/debian/\n\n" + stanza("p", "1:2", "gcc-12 (12.2)") + stanza("t", "3", "") + stanza("linux-source-6.1", "6.1", "linux"),
		"rootfs.uris":  "Reading package lists...\n'http://near/p' p_1%3a2_arm64.deb 7 SHA256:x\n",
		"all.uris":     "'http://near/p' p_1%3a2_arm64.deb 7 SHA256:x\n'http://near/t' t_3_arm64.deb 7 SHA256:x\n",
		"kernel.uris":  "'http://near/l' linux-source-6.1_6.1_arm64.deb 7 SHA256:x\n",
		"releases.txt": strings.Repeat("5", 64) + "|Sat, 11 Oct 2025 10:00:00 UTC|bookworm|InRelease\n",
	}
	mirrors := family.Mirrors{"debian": "http://near.example.org/debian"}
	now := time.Date(2026, 11, 29, 1, 2, 3, 4, time.UTC)
	resolve := func(g *apt) (target.Lock, error) {
		g.WorkRoot = t.TempDir()
		return Family{}.Resolve(t.Context(), &family.Work{Guest: g, Recipe: r, Log: io.Discard}, mirrors, now)
	}
	g := &apt{leaves: good}
	l, err := resolve(g)
	if err != nil {
		t.Fatal(err)
	}
	if want := "deb [arch=arm64 signed-by=/k.gpg] http://near.example.org/debian bookworm main\n\n"; g.asked != want {
		t.Errorf("sources.list %q, want %q", g.asked, want)
	}
	if len(l.Rootfs) != 1 || l.Rootfs[0].Version != "1:2" || l.Rootfs[0].Source != "gcc-12=12.2" || l.Rootfs[0].Archive != "debian" || l.Rootfs[0].Size != 7 {
		t.Errorf("rootfs %+v", l.Rootfs)
	}
	if len(l.Smoke) != 1 || l.Smoke[0].Name != "t" || l.Smoke[0].Source != "t=3" || l.Kernel.Source != "linux=6.1" {
		t.Errorf("smoke %+v, kernel %+v", l.Smoke, l.Kernel)
	}
	if len(l.Suites) != 1 || l.Suites[0].InRelease != strings.Repeat("5", 64) || !l.Created.Equal(now.Truncate(time.Second)) || l.Target != "t" {
		t.Errorf("suites %+v, created %s", l.Suites, l.Created)
	}
	with := func(name, text string) map[string]string {
		out := map[string]string{}
		for n, s := range good {
			out[n] = s
		}
		out[name] = text
		return out
	}
	for name, c := range map[string]struct {
		guest *apt
		cause string
		want  string
	}{
		"no such package":         {&apt{fails: "E: Unable to locate package nope"}, "config.invalid", "is not in its suites"},
		"no network":              {&apt{fails: "Failed to fetch http://x"}, "fetch.unreachable", ""},
		"an old mirror":           {&apt{fails: "Release file is expired"}, "fetch.unreachable", "has expired"},
		"another failure":         {&apt{fails: "E: broken"}, "guest.command-failed", "resolve.sh in guest"},
		"two kernel sources":      {&apt{leaves: with("kernel.uris", good["all.uris"])}, "config.invalid", "downloads 2 packages"},
		"not in the index":        {&apt{leaves: with("packages.txt", stanza("p", "1:2", ""))}, "", "is not in the index that apt verified"},
		"a size that is none":     {&apt{leaves: with("packages.txt", strings.ReplaceAll(good["packages.txt"], "Size: 7", "Size: x"))}, "", `has size "x"`},
		"a line that is none":     {&apt{leaves: with("rootfs.uris", "'x\n")}, "", "which is not a download"},
		"a suite without Release": {&apt{leaves: with("releases.txt", "")}, "", "apt stored no InRelease file"},
	} {
		if _, err := resolve(c.guest); err == nil || cause.IDOf(err) != c.cause || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, cause %q; want %q with %q", name, err, cause.IDOf(err), c.cause, c.want)
		}
	}
}
