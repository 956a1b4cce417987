package debian

import (
	"context"
	"io"
	"strings"
	"testing"

	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/target"
)

// answering is a guest whose search for programs prints a text.
type answering struct {
	guest.Local
	answer, asked string
}

func (a *answering) Run(_ context.Context, c guest.Cmd) error {
	a.asked = c.Argv[2]
	_, err := io.WriteString(c.Stdout, a.answer)
	return err
}

// A missing tool is reported with Debian's package of it, and missing rights of the
// user with a remedy.
func TestMissingTools(t *testing.T) {
	r := target.Recipe{Arch: "arm64", Kernel: target.Kernel{CrossCompile: "aarch64-linux-gnu-"}}
	for name, c := range map[string]struct {
		facts       guest.Facts
		answer      string
		want        string // name and package of each
		asked, less string // what the search contains, and what it does not
	}{
		"nothing":        {guest.Facts{Arch: "arm64", Root: true}, "", "", "command -v make", "aarch64-linux-gnu-gcc"},
		"programs":       {guest.Facts{Arch: "arm64", Root: true}, "0\n5\n9\n", "make make, xz xz-utils, /usr/include/openssl/opensslv.h libssl-dev", "test -e /usr/include/libelf.h", "unshare"},
		"cross compiler": {guest.Facts{Arch: "amd64", Root: true}, "18\nbinfmt\n", "aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu, binfmt:arm64 binfmt-support", "arch-test arm64", "unshare"},
		"a user":         {guest.Facts{Arch: "arm64"}, "userns\nsubids:me\n", "userns , subids:me ", "unshare --map-root-user", "arch-test arm64"},
		"noise":          {guest.Facts{Arch: "arm64", Root: true}, "99999\nwhat\n", "", "command -v make", "unshare"},
	} {
		g := &answering{answer: c.answer}
		missing, err := Family{}.MissingTools(t.Context(), g, c.facts, r)
		var got []string
		for _, m := range missing {
			got = append(got, m.Name+" "+m.Package)
			if m.Why == "" {
				t.Errorf("%s: %s has no reason", name, m.Name)
			}
		}
		if err != nil || strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
		if !strings.Contains(g.asked, c.asked) || strings.Contains(g.asked, c.less) {
			t.Errorf("%s: the look-up is\n%s", name, g.asked)
		}
	}
	if !strings.HasPrefix("subids:me", family.SubIDs) {
		t.Error(family.SubIDs)
	}
}

// A mirror is the user's, else the guest's own for one of the same suites, else the
// archive's public address.
func TestMirrors(t *testing.T) {
	r := target.Recipe{Archives: []target.Archive{
		{Name: "mine", URI: "http://a/debian/", Suites: []string{"s"}},
		{Name: "debian", URI: "http://b/debian/", Suites: []string{"x", "bookworm"}},
		{Name: "security", URI: "http://c/debian/", Suites: []string{"other"}},
	}}
	g := &answering{answer: "Debian|bookworm|http://near/debian/\nOther|other|http://no/\nDebian|other|file:/no\nnoise\n"}
	got := Family{}.Mirrors(t.Context(), g, r, map[string]string{"mine": "http://user/debian/"})
	for name, want := range map[string]string{"mine": "http://user/debian", "debian": "http://near/debian", "security": "http://c/debian"} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}
