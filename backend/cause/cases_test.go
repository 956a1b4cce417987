package cause

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// expected is one line of a folder's EXPECTED: a log, whether it is of a boot that
// went wrong, and the ids that are right.
type expected struct {
	file string
	bad  bool
	ids  []string
	why  string // what a person wants to hear
}

func readExpected(t *testing.T, dir string) (out []expected) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "EXPECTED"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 {
			t.Fatalf("%s: EXPECTED has the line %q", dir, line)
		}
		out = append(out, expected{f[0], f[1] == "bad", strings.Split(f[2], "/"), f[3]})
	}
	return out
}

// score counts the answers to a folder's logs.
type score struct{ bad, right, wrong, unknown, good, alarms, silent int }

// An answer is right if it, or its parent, is one of the ids of EXPECTED. At
// least 95 % of the bad logs must get a right one; none a wrong one; no good log
// a cause.
func TestCases(t *testing.T) {
	p := pack(t)
	for _, dir := range []string{"cases", "more"} {
		t.Run(dir, func(t *testing.T) {
			dir := filepath.Join("testdata", dir)
			var s score
			listed := map[string]bool{"EXPECTED": true}
			for _, e := range readExpected(t, dir) {
				listed[e.file] = true
				b, err := os.ReadFile(filepath.Join(dir, e.file))
				if err != nil {
					t.Fatal(err)
				}
				s.count(t, e, p.Explain(string(b)))
			}
			t.Logf("bad %d: right %d, wrong %d, unknown %d; good %d: false alarms %d, not recognized %d", s.bad, s.right, s.wrong, s.unknown, s.good, s.alarms, s.silent)
			if s.right*100 < s.bad*95 || s.wrong > 0 || s.alarms > 0 {
				t.Errorf("%d of %d bad logs right, %d wrong, %d false alarms", s.right, s.bad, s.wrong, s.alarms)
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if !listed[f.Name()] {
					t.Errorf("EXPECTED does not name %s", f.Name())
				}
			}
		})
	}
}

func (s *score) count(t *testing.T, e expected, got Explanation) {
	right := slices.Contains(e.ids, got.ID) || got.Parent != "" && slices.Contains(e.ids, got.Parent)
	switch {
	case !e.bad:
		s.good++
		switch got.ID {
		case None:
		case Unknown:
			s.silent++
			t.Logf("%s: a good boot is not recognized", e.file)
		default:
			s.alarms++
			t.Errorf("%s: false alarm %s by %q", e.file, got.ID, got.Line)
		}
		return
	case right:
		s.right++
	case got.ID == Unknown:
		s.unknown++
		t.Logf("%s: unknown, want %s (%s)", e.file, e.ids, e.why)
	default:
		s.wrong++
		t.Errorf("%s: %s by %q, want %s (%s)", e.file, got.ID, got.Line, e.ids, e.why)
	}
	s.bad++
}

// A proof asks for fatal causes while the console speaks: in no part of a boot that
// goes well may there be one.
func TestNoFatalCauseOnTheWay(t *testing.T) {
	p := pack(t)
	for _, dir := range []string{"cases", "more"} {
		dir := filepath.Join("testdata", dir)
		for _, e := range readExpected(t, dir) {
			if e.bad || e.file == "g-kexec.log" { // it holds a panic, and a boot after it
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, e.file))
			if err != nil {
				t.Fatal(err)
			}
			text := ""
			for line := range strings.Lines(string(b)) {
				text += line
				if f, ok := p.FindFatal(text); ok {
					t.Errorf("%s: fatal %s after %q", e.file, f.ID, line)
					break
				}
			}
		}
	}
}
