package backend_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// floors are the packages by floor; imports may only run downwards, or stay
// on a floor where it is listed.
var floors = map[string]int{
	"ingot/resources": 1, "ingot/backend/disk": 1, "ingot/backend/disk/ext4": 1, "ingot/backend/disk/ext4/ext4test": 1, "ingot/backend/qemu": 1, "ingot/backend/event": 1, "ingot/backend/fetch": 1, "ingot/backend/home": 1, "ingot/backend/secret": 1,
	"ingot/backend/guest": 2, "ingot/backend/jobs": 2, "ingot/backend/guest/notes": 2, "ingot/backend/guest/guesttest": 2, "ingot/backend/guest/lima": 2, "ingot/backend/target": 2, "ingot/backend/evidence": 2, "ingot/backend/cause": 2, "ingot/backend/leak": 2,
	"ingot/backend/image": 3, "ingot/backend/team": 3, "ingot/backend/publish": 3, "ingot/backend/proof": 3, "ingot/backend/reality": 3,
	"ingot/backend/build": 4,
	"ingot/backend":       5,
	"ingot/app":           6, "ingot/app/feed": 6, "ingot/app/window": 6, "ingot/app/desktop": 6, "ingot/app/tray": 6, "ingot/app/tray/native": 6,
	"ingot/cmd/ingot": 7, "ingot/cmd/ingot-app": 7, "ingot/scripts/icons": 7, "ingot/scripts/bundle": 7,
	"ingot/scripts/notices": 7, "ingot/test/app": 7, "ingot/test/e2e": 7, "ingot/test/chaos": 7, "ingot/test/lima": 7,
}

// noExec may start no process of their own: everything goes through a guest or
// a machine.
var noExec = []string{"ingot/backend/build", "ingot/backend/image", "ingot/backend/proof", "ingot/backend/reality", "ingot/backend/publish"}

type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

func TestHouse(t *testing.T) {
	pkgs := packages(t)
	if len(pkgs) < 15 {
		t.Fatalf("found only %d packages", len(pkgs))
	}
	for _, p := range pkgs {
		floor, known := floors[p.ImportPath]
		if !known {
			t.Errorf("%s stands on no floor: add it to floors", p.ImportPath)
			continue
		}
		if p.Doc == "" {
			t.Errorf("%s has no package doc comment", p.ImportPath)
		}
		for _, msg := range wrongImports(p.ImportPath, floor, p.Imports) {
			t.Error(msg)
		}
	}
}

// wrongImports lists the imports that break a rule of the house.
func wrongImports(path string, floor int, imports []string) []string {
	var wrong []string
	for _, i := range imports {
		if f, ours := floors[i]; ours && f > floor {
			wrong = append(wrong, path+" imports "+i+", which stands higher")
		}
		if strings.HasPrefix(path, "ingot/backend") && strings.HasPrefix(i, "fyne.io/") {
			wrong = append(wrong, path+" imports "+i+": the backend has no face")
		}
		if strings.HasPrefix(path, "ingot/app") || strings.HasPrefix(path, "ingot/cmd") {
			if strings.HasPrefix(i, "ingot/backend/") {
				wrong = append(wrong, path+" imports "+i+": faces import the front door only")
			}
		}
		for _, n := range noExec {
			if path == n && i == "os/exec" {
				wrong = append(wrong, path+" imports os/exec: commands go through guest.Guest")
			}
		}
	}
	return wrong
}

// The rules must be able to fail.
func TestHouseRulesCanFail(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		imports []string
	}{
		"upwards": {"ingot/backend/disk", []string{"ingot/backend/build"}},
		"fyne":    {"ingot/backend/guest", []string{"fyne.io/fyne/v2"}},
		"exec":    {"ingot/backend/image", []string{"os/exec"}},
		"door":    {"ingot/cmd/ingot", []string{"ingot/backend/build"}},
	} {
		if len(wrongImports(c.path, floors[c.path], c.imports)) == 0 {
			t.Errorf("%s: the rule did not fail", name)
		}
	}
}

// Binaries must not need a C library: one static file for any Linux.
func TestNoCgoInBackend(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "import \"C\"") {
				t.Errorf("%s/%s uses cgo", p.ImportPath, f)
			}
		}
	}
}
