package linux

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/guest/notes"
	"ingot/backend/target"
)

func frag(name, text string) family.Fragment { return family.Fragment{File: name, Data: []byte(text)} }

// Symbols that do not exist or are not applied are errors with file and line.
func TestCheckConfig(t *testing.T) {
	wanted, err := mergeFragments([]family.Fragment{frag("base", "# comment\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_S=\"x\"\n# CONFIG_OFF is not set\n"), frag("arch", "\nCONFIG_B=y\nCONFIG_GHOST=y\n")})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"A": true, "B": true, "S": true, "OFF": true}
	err = checkConfig(wanted, []byte("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\nCONFIG_OFF=y\n"), known)
	var sym *SymbolError
	if !errors.As(err, &sym) || cause.Of(err) != "config.symbol" || len(sym.Problems) != 3 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"arch:2: CONFIG_B=y was not applied, it is n", "arch:3: CONFIG_GHOST does not exist", "base:5: CONFIG_OFF=n was not applied, it is y"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	delete(wanted, "CONFIG_GHOST")
	if err := checkConfig(wanted, []byte("CONFIG_A=y\nCONFIG_B=y\nCONFIG_S=\"x\"\n"), known); err != nil {
		t.Errorf("all stuck: %v", err)
	}
	if _, err := mergeFragments([]family.Fragment{frag("bad", "CONFIG_A y\n")}); !errors.As(err, &sym) || !strings.Contains(err.Error(), "bad:1") {
		t.Errorf("no setting: %v", err)
	}
}

// The overlay holds the family's files and the recipe's, and its bytes are always the
// same.
func TestOverlayIsRootsAndDeterministic(t *testing.T) {
	r := target.Rootfs{Files: []target.File{{Path: "/etc/x", Mode: "0600", Content: "y"}}, Links: []target.Link{{Path: "/etc/l", To: "x"}}}
	first := []target.File{{Path: "/etc/first", Content: "of the family"}}
	at := time.Unix(1783765000, 0)
	a, err := overlayTar(first, r, at)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := overlayTar(first, r, at)
	if string(a) != string(b) || !strings.Contains(string(a), "of the family") || len(first) != 1 {
		t.Error("the overlay is not deterministic, or has not the family's files")
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

// The disk must have room for a FAT32 and a root file system.
func TestCheckDisk(t *testing.T) {
	for want, d := range map[string]target.Disk{
		"64MiB is too small for a root file system beside an ESP of 64MiB": {Size: 64 << 20, ESP: 64 << 20, Loader: "l"},
		"1MiB is too small for FAT32":                                      {Size: 3 << 30, ESP: 1 << 20, Loader: "l"},
	} {
		ps := Check(target.Recipe{Kernel: target.Kernel{Configs: []string{"c"}, Image: "i"}, Disk: d})
		if len(ps) != 1 || !strings.Contains(ps[0].Msg, want) {
			t.Errorf("%+v: %+v, want %q", d, ps, want)
		}
	}
}

// running is a guest that records its commands and runs none.
type running struct {
	guest.Local
	ran []string
	err error
}

func (r *running) Run(_ context.Context, c guest.Cmd) error {
	r.ran = append(r.ran, strings.Join(c.Argv, " "))
	return r.err
}

// A kernel is copied with its files, installed for one boot, and then made the default;
// the error has the cause that the script names.
func TestInstall(t *testing.T) {
	files := t.TempDir()
	for _, name := range []string{"vmlinuz", "config", "System.map", "modules.tar"} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := &running{Local: guest.Local{WorkRoot: t.TempDir()}}
	if err := (System{}).Install(t.Context(), g, files, "6.1-x", io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := (System{}).KeepKernel(t.Context(), g, "6.1-x", io.Discard); err != nil {
		t.Fatal(err)
	}
	if len(g.ran) != 2 || !strings.HasSuffix(g.ran[0], "/install.sh 6.1-x") || !strings.HasSuffix(g.ran[1], "/install.sh 6.1-x keep") {
		t.Errorf("%q", g.ran)
	}
	g.err = &guest.ExitError{Code: 1, Tail: "ingot: guest.no-loader: there is no GRUB with update-grub"}
	if err := (System{}).Install(t.Context(), g, files, "6.1-x", io.Discard); cause.Of(err) != "guest.no-loader" || !strings.Contains(err.Error(), "install kernel 6.1-x in guest local") {
		t.Errorf("%v", err)
	}
	if err := (System{}).Install(t.Context(), g, t.TempDir(), "6.1-x", io.Discard); err == nil || !strings.Contains(err.Error(), "put vmlinuz into guest local") {
		t.Errorf("no files: %v", err)
	}
}

// The script is passed to root's shell as text, so that no file of it stays in the
// guest. What it could not remove is an error with the cause image.leftover.
func TestSanitise(t *testing.T) {
	text, err := scripts.ReadFile("scripts/sanitise.sh")
	if err != nil {
		t.Fatal(err)
	}
	g := &running{}
	_, err = (System{}).Sanitise(t.Context(), g, family.SanitiseOptions{Free: family.KeepFree, Log: io.Discard})
	if len(g.ran) != 1 || !strings.Contains(g.ran[0], " root sh -c "+string(text)) || !strings.HasSuffix(g.ran[0], " sanitise remove keep") {
		t.Errorf("%v, %d commands", err, len(g.ran))
	}
	if err == nil || cause.Of(err) != "image.leftover" || !strings.Contains(err.Error(), "the rule services was not applied") {
		t.Errorf("no report: %v", err)
	}
	g.err = &guest.ExitError{Code: 1}
	if _, err := (System{}).Sanitise(t.Context(), g, family.SanitiseOptions{Free: family.OverwriteFree, Log: io.Discard}); cause.Of(err) != "image.leftover" {
		t.Errorf("%v", err)
	}
}

// Each function that the rules call is in the script.
func TestSanitiseFunctions(t *testing.T) {
	text, err := scripts.ReadFile("scripts/sanitise.sh")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := (System{}).SanitiseRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules.Rules {
		if r.Call != "" && !strings.Contains(string(text), "\nrule_"+r.Call+"() {") {
			t.Errorf("rule %s calls %s, which scripts/sanitise.sh does not define", r.ID, r.Call)
		}
	}
}
