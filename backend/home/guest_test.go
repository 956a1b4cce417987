package home

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Setting the guest changes one line: comments, blank lines, order and quotes stay.
func TestSetGuest(t *testing.T) {
	const rest = "# my settings\nmirrors:\n  debian: 'http://mirror.example.org'   # near\n\n\nforge: {cpus: 2}\n"
	const guests = "guests: # two\n  - {name: here, kind: local}\n  - name: guest\n    kind: local # guest: no\n"
	for name, c := range map[string]struct{ before, guest, after string }{
		"no file":        {"", "local", "guest: local\n"},
		"only a comment": {"# nothing yet\n", "local", "# nothing yet\nguest: local\n"},
		"new key":        {rest, "lima:vm", rest + "guest: lima:vm\n"},
		"no newline":     {"workers: 2 # two", "local", "workers: 2 # two\nguest: local\n"},
		"in the middle":  {rest + "guest: here # for now\n" + guests, "lima:ingot-forge", rest + "guest: lima:ingot-forge # for now\n" + guests},
		"quoted":         {"\"guest\" : 'it''s # mine'   # \"why\"\nworkers: 1\n", "local", "\"guest\" : local   # \"why\"\nworkers: 1\n"},
		"empty":          {"guest:\n" + rest, "local", "guest: local\n" + rest},
		"empty, comment": {"guest: # none\n" + rest, "local", "guest: local # none\n" + rest},
		"carriage":       {"# a\r\nguest: here\r\nworkers: 1\r\n", "local", "# a\r\nguest: local\r\nworkers: 1\r\n"},
		"carriage, new":  {"# a\r\nworkers: 1\r\n", "local", "# a\r\nworkers: 1\r\nguest: local\r\n"},
		"same":           {"guest:   local  # as it is\n", "local", "guest:   local  # as it is\n"},
		"nested only":    {guests, "guest", guests + "guest: guest\n"},
		"needs quotes":   {"", "a: b #c", "guest: 'a: b #c'\n"},
		"hash in name":   {"guest: a#b # c\n", "local", "guest: local # c\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Home{Config: t.TempDir()}
			if c.before != "" {
				write(t, h.ConfigFile(), c.before, 0o640)
			}
			if err := h.SetGuest(c.guest); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(h.ConfigFile())
			if err != nil || strings.ReplaceAll(string(got), `"a: b #c"`, "'a: b #c'") != c.after {
				t.Errorf("%v\n%q, want\n%q", err, got, c.after)
			}
			if conf, err := h.LoadConfig(); err != nil || conf.Guest != c.guest {
				t.Errorf("read back: %q, %v", conf.Guest, err)
			}
			info, err := os.Stat(h.ConfigFile())
			if want := map[bool]os.FileMode{true: 0o600, false: 0o640}[c.before == ""]; err != nil || info.Mode().Perm() != want {
				t.Errorf("mode %v, %v, want %v", info.Mode(), err, want)
			}
		})
	}
}

// A file that cannot be parsed, or not be changed safely, stays as it is, and the error
// says what to do.
func TestSetGuestRefuses(t *testing.T) {
	for name, c := range map[string]struct{ before, want string }{
		"syntax":         {"workers: [\n", "has a mistake"},
		"unknown key":    {"# a\nguset: local\n", "line 2"},
		"bad value":      {"forge: {memory: much}\n", "forge.memory"},
		"braces":         {"{workers: 1, guest: here}\n", "begins at the margin"},
		"indented":       {"  workers: 1\n  guest: here\n", "begins at the margin"},
		"block scalar":   {"guest: >-\n  here\nworkers: 1\n", "begins at the margin"},
		"two lines":      {"guest: here\n  and there\n", "begins at the margin"},
		"anchor":         {"guest: &g here\nforge: {template: *g}\n", "begins at the margin"},
		"document's end": {"workers: 1\n...\n", "begins at the margin"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Home{Config: t.TempDir()}
			write(t, h.ConfigFile(), c.before, 0o600)
			err := h.SetGuest("local")
			var conf *ConfigError
			if !errors.As(err, &conf) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), h.ConfigFile()) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if got, err := os.ReadFile(h.ConfigFile()); err != nil || string(got) != c.before {
				t.Errorf("%v: the file is now %q", err, got)
			}
		})
	}
}

// A link stays one: the file that it names is changed.
func TestSetGuestLinked(t *testing.T) {
	h := Home{Config: t.TempDir()}
	real := filepath.Join(t.TempDir(), "ingot.yaml")
	write(t, real, "workers: 1\n", 0o600)
	if err := os.Symlink(real, h.ConfigFile()); err != nil {
		t.Fatal(err)
	}
	if err := h.SetGuest("local"); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(h.ConfigFile()); err != nil || to != real {
		t.Errorf("the link is gone: %q, %v", to, err)
	}
	if got, err := os.ReadFile(real); err != nil || string(got) != "workers: 1\nguest: local\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // the umask may have taken bits away
		t.Fatal(err)
	}
}
