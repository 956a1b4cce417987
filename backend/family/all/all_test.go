package all

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/target"
	"ingot/resources"
)

const head = "apiVersion: ingot/v1\nkind: Target\nname: mine\n"

// user loads the shipped targets and a target "mine" of the text.
func user(t *testing.T, text string) (*target.Set, string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(file, []byte(head+text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := target.Load(resources.FS, dir, Check)
	if err != nil {
		t.Fatal(err)
	}
	return s, file
}

// A recipe that no family accepts is refused with its file, line, key and the accepted
// values.
func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		"extends: debian-12-arm64\nos: plan9\n":              `:5: key "os": "plan9" is not known; accepted: debian`,
		"extends: debian-12-arm64\ndisk: {esp: 1MiB}\n":      `:5: key "disk.esp": 1MiB is too small for FAT32; accepted: 34MiB or more`,
		"extends: debian-12-arm64\narchives: []\n":           `:5: key "archives": is required`,
		"extends: debian-12-arm64\nos: debian\n":             "",
		"extends: debian-12-arm64\nos: p\nstrategy: magic\n": `:6: key "strategy": "magic" is not known`,
	} {
		s, file := user(t, text)
		_, err := s.Get("mine")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), file+want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if want != "" && cause.IDOf(err) != "config.invalid" {
			t.Errorf("%q: cause %q", text, cause.IDOf(err))
		}
	}
}

// Every shipped recipe has a family that composes it, and every key has its scripts and
// programs.
func TestShippedTargetsHaveAFamily(t *testing.T) {
	s, err := target.Load(resources.FS, "", Check)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range s.Names() {
		r, err := s.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Composer(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lock, err := s.Lock(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []string{family.StepKernel, family.StepRootfs, family.StepImage, family.StepTools} {
			in := f.Inputs(step, lock)
			scripts := 0
			for name := range in {
				if strings.HasPrefix(name, "script ") {
					scripts++
				}
			}
			if scripts == 0 || in["programs"] == "" {
				t.Errorf("%s, %s: %v", name, step, in)
			}
		}
		if same, err := Named(f.Name()); err != nil || same.Name() != f.Name() {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
}

// No two families share a name or a system.
func TestFamiliesAreApart(t *testing.T) {
	names, systems := map[string]bool{}, map[string]string{}
	for _, f := range Families {
		if names[f.Name()] || len(f.Systems()) == 0 {
			t.Errorf("%s stands twice in the table, or has no systems", f.Name())
		}
		names[f.Name()] = true
		for _, s := range f.Systems() {
			if other := systems[s]; other != "" {
				t.Errorf("%s is of %s and of %s", s, other, f.Name())
			}
			systems[s] = f.Name()
		}
	}
}

func TestUnknown(t *testing.T) {
	_, of := Of(target.Recipe{OS: "plan9"})
	_, named := Named("bsd")
	_, system := System("Plan9")
	for _, c := range []struct {
		err  error
		want string
	}{{of, `os "plan9" is not known; accepted: debian`}, {named, `family "bsd" is not known; accepted: debian`}, {system, `operating system "Plan9" is not known; accepted: linux`}} {
		var unknown *UnknownError
		if !errors.As(c.err, &unknown) || c.err.Error() != c.want || cause.ClassOf(c.err) != cause.Input {
			t.Errorf("%v, want %q", c.err, c.want)
		}
	}
	if s, err := System("Linux"); err != nil || s.OS() != "linux" {
		t.Errorf("%v, %v", s, err)
	}
}

// throwAway is a family that composes nothing.
type throwAway struct{}

func (throwAway) Name() string      { return "throw-away" }
func (throwAway) Systems() []string { return []string{"plan9"} }
func (throwAway) Check(r target.Recipe) []target.Problem {
	return target.Required("$.title", "title", r.Title == "")
}
func (throwAway) Resolve(context.Context, *family.Work, family.Mirrors, time.Time) (target.Lock, error) {
	return target.Lock{Kind: "Lock"}, nil
}
func (throwAway) Mirrors(context.Context, guest.Guest, target.Recipe, map[string]string) family.Mirrors {
	return nil
}
func (throwAway) SourceURLs(target.Recipe, target.LockedPackage) []string { return nil }
func (throwAway) Inputs(step string, _ target.Lock) map[string]string {
	return map[string]string{"script " + step: "x"}
}

// composing is throwAway with the methods of a composer, which are not called.
type composing struct {
	throwAway
	uncalled
}

type uncalled struct{ family.Composer }

// A new family needs one line in the table: then its recipes are recognised, checked
// and get its inputs. A family that composes no disks has no recipe of the strategy
// compose.
func TestOneMoreFamily(t *testing.T) {
	defer func(before []family.Family) { Families = before }(Families)
	shipped := Families
	const text = "extends: debian-12-arm64\nos: plan9\n"
	Families = append(shipped[:len(shipped):len(shipped)], throwAway{})
	s, _ := user(t, text)
	if _, err := s.Get("mine"); err == nil || !strings.Contains(err.Error(), `"plan9" is not known; accepted: debian`) {
		t.Errorf("a family that composes nothing: %v", err)
	}
	Families = append(shipped[:len(shipped):len(shipped)], composing{})
	s, _ = user(t, text)
	r, err := s.Get("mine")
	if err != nil {
		t.Fatal(err)
	}
	if f, err := Of(r); err != nil || f.Name() != "throw-away" {
		t.Errorf("%v, %v", f, err)
	}
	s, file := user(t, text+"title: \"\"\n")
	if _, err := s.Get("mine"); err == nil || !strings.Contains(err.Error(), file+`:6: key "title": is required`) {
		t.Errorf("the family's own check: %v", err)
	}
	s, _ = user(t, strings.Replace(text, "plan9", "plan10", 1))
	if _, err := s.Get("mine"); err == nil || !strings.Contains(err.Error(), "accepted: debian, plan9") {
		t.Errorf("another one: %v", err)
	}
}

// Modes are part of an image's bytes: every script sets the umask before it creates a
// file, so that the user's umask has no effect.
func TestScriptsSetTheUmask(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "*", "scripts", "*.sh"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if first := firstCommands(string(text), 2); len(first) < 2 || first[0] != "set -eu" || first[1] != "umask 022" {
			t.Errorf("%s begins with %q", f, first)
		}
	}
}

// firstCommands returns the first n lines of a script that are not comments.
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
