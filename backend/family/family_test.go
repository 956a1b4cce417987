package family

import (
	"regexp"
	"strings"
	"testing"

	"ingot/backend/target"
)

func TestLineCounter(t *testing.T) {
	var got int64
	c := &LineCounter{Match: regexp.MustCompile(`^  [A-Z0-9]+( \[M\])?\s`), Total: 2, Progress: func(done, total int64) { got = done }}
	for _, s := range []string{"  CC      init/ma", "in.o\n  LD [M]  net/x.ko\nwarning: CC\n", "  HOSTCC  scripts/a\n" + strings.Repeat("x", 10000)} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got != 3 {
		t.Errorf("%d objects, want 3", got)
	}
}

// Mirrors affect only downloads: the mirror's address is tried first, then the public
// one.
func TestMirrorURLs(t *testing.T) {
	r := target.Recipe{Archives: []target.Archive{{Name: "debian", URI: "http://deb.debian.org/debian/"}}}
	p := target.LockedPackage{Archive: "debian", Filename: "pool/a.deb"}
	got := Mirrors{"debian": "http://near/debian"}.URLs(r, p)
	if strings.Join(got, " ") != "http://near/debian/pool/a.deb http://deb.debian.org/debian/pool/a.deb" {
		t.Error(got)
	}
}
