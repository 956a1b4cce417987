package vm

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/home"
)

// guestHome is a home with a configuration, and no Lima instance.
func guestHome(t *testing.T, config string) *backend.Backend {
	t.Helper()
	root := t.TempDir()
	t.Setenv("INGOT_HOME", root)
	t.Setenv("INGOT_KEYCHAIN", "off")
	t.Setenv("INGOT_LOCAL_GUEST", "")
	t.Setenv("LIMA_HOME", filepath.Join(root, "lima"))
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "config"), 0o700), os.WriteFile(filepath.Join(root, "config", "config.yaml"), []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	return open(t)
}

func open(t *testing.T) *backend.Backend {
	t.Helper()
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names lists the choices; the default one is in brackets.
func names(t *testing.T, b *backend.Backend) (string, Guests) {
	t.Helper()
	g, err := ListGuests(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range g.Choices {
		if c.Title == "" {
			t.Errorf("%s has no title", c.Name)
		}
		if c.Default {
			c.Name = "[" + c.Name + "]"
		}
		all = append(all, c.Name)
	}
	return strings.Join(all, " "), g
}

// The choices are what builds can run in, and the default is among them.
func TestListGuests(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the local guest needs Linux")
	}
	const guests = "guests: [{name: far, kind: ssh, host: h.example.org, user: me}, {name: box, kind: lima, instance: ingot-forge}, {name: here, kind: local}]\n"
	for name, c := range map[string]struct{ config, off, want, problem string }{
		"nothing set":        {"", "", "[local] lima:ingot-forge", ""},
		"no local guest":     {"", "off", "[lima:ingot-forge]", ""},
		"guests":             {guests + "guest: far\n", "", "local [far] box here", ""},
		"guests, no local":   {guests + "guest: far\n", "off", "[far] box", ""},
		"instance":           {"guest: lima:vm\n", "", "local lima:ingot-forge [lima:vm]", ""},
		"its plain name":     {guests + "guest: lima:ingot-forge\n", "", "local far box here [lima:ingot-forge]", ""},
		"unknown":            {"guest: nowhere\n", "", "local lima:ingot-forge [nowhere]", "there is no guest"},
		"local where it off": {"guest: local\n", "off", "lima:ingot-forge [local]", "choose another guest"},
	} {
		t.Run(name, func(t *testing.T) {
			b := guestHome(t, c.config)
			t.Setenv("INGOT_LOCAL_GUEST", c.off)
			got, g := names(t, b)
			if got != c.want || !strings.Contains(g.Problem, c.problem) || g.Problem != "" && c.problem == "" {
				t.Errorf("%s, want %s; problem %q", got, c.want, g.Problem)
			}
		})
	}
}

// The default is written, kept beside all else, and refused as a build would refuse it.
func TestSetGuest(t *testing.T) {
	b := guestHome(t, "# mine\nguests: [{name: far, kind: ssh, host: h.example.org, user: me}] # two\n")
	t.Setenv("INGOT_LOCAL_GUEST", "off")
	for _, name := range []string{"far", "lima:vm"} {
		if err := SetGuest(b, name); err != nil {
			t.Fatal(err)
		}
		b = open(t)
		if got := b.DefaultGuest(); got != name {
			t.Errorf("the default is %s, want %s", got, name)
		}
	}
	text, err := os.ReadFile(b.Home.ConfigFile())
	if err != nil || !strings.HasPrefix(string(text), "# mine\n") || !strings.Contains(string(text), "# two\n") {
		t.Errorf("%s, %v", text, err)
	}
	var none *backend.GuestError
	for _, name := range []string{"nowhere", "lima:", ""} {
		if err := SetGuest(b, name); !errors.As(err, &none) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := SetGuest(b, "local"); cause.IDOf(err) != "guest.no-local" {
		t.Errorf("local: %v", err)
	}
	var bad *home.ConfigError
	if err := os.WriteFile(b.Home.ConfigFile(), []byte("guest: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SetGuest(b, "far"); !errors.As(err, &bad) {
		t.Errorf("a file that cannot be parsed: %v", err)
	}
}
