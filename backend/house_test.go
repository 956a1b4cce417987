package backend_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// floors are the packages by floor. Imports run downwards; on one floor only
// those that sameFloor lists.
var floors = map[string]int{
	"resources": 1, "backend/disk": 1, "backend/disk/ext4": 1, "backend/disk/files": 1, "backend/disk/utm": 1, "backend/disk/ext4/ext4test": 1, "backend/qemu": 1, "backend/cause": 1, "backend/event": 1, "backend/fetch": 1, "backend/home": 1, "backend/secret": 1, "backend/limit": 1,
	"backend/guest": 2, "backend/guest/notes": 2, "backend/guest/guesttest": 2, "backend/guest/lima": 2, "backend/guest/forge": 2, "backend/guest/pause": 2, "backend/guest/qemu": 2, "backend/guest/all": 2, "backend/target": 2, "backend/evidence": 2, "backend/jobs": 2, "backend/leak": 2, "backend/sanitise": 2, "backend/team": 2, "backend/dialogue": 2,
	"backend/family": 3, "backend/family/linux": 3, "backend/family/debian": 3, "backend/family/all": 3, "backend/publish": 3, "backend/publish/folder": 3, "backend/publish/s3": 3, "backend/publish/github": 3, "backend/publish/github/githubtest": 3, "backend/publish/publishtest": 3, "backend/publish/all": 3, "backend/machine": 3, "backend/proof": 3, "backend/reality": 3,
	"backend/build": 4, "backend/build/outputs": 4, "backend/build/record": 4, "backend/build/release": 4, "backend/build/delivery": 4, "backend/build/recovery": 4, "backend/build/vmdisk": 4, "backend/packer": 4, "backend/packer/command": 4, "backend/packer/log": 4, "backend/packer/platform": 4, "backend/packer/rewrite": 4, "backend/packer/run": 4, "backend/packer/template": 4,
	"backend": 5, "backend/client": 5, "backend/api": 5, "backend/hometest": 5,
	"backend/owner": 6, "backend/worker": 6, "backend/remote": 6, "backend/status": 6, "backend/verify": 6, "backend/vm": 6, "backend/run": 6, "backend/doctor": 6, "backend/retention": 6, "backend/macproof": 6,
	"app": 7, "app/feed": 7, "app/look": 7, "app/screen": 7, "app/window": 7, "app/desktop": 7, "app/tray": 7, "app/tray/native": 7,
	"cmd/ingot": 8, "cmd/ingot-app": 8, "scripts/icons": 8, "scripts/bundle": 8, "scripts/release": 8, "scripts/archive": 8, "scripts/notices": 8, "scripts/macproof": 8, "test/app": 8, "test/e2e": 8, "test/chaos": 8, "test/lima": 8,
}

// sameFloor lists the imports among the packages of one floor: importer, and what
// it may import. A new one is a decision: floors 5 and 6 must stay without a circle.
var sameFloor = map[string]string{
	"scripts/bundle": "scripts/archive", "scripts/release": "scripts/archive", "scripts/macproof": "scripts/archive",
	"app/desktop": "app", "app/tray": "app app/feed", "app/tray/native": "app/tray", "app/window": "app app/feed app/look app/screen",
	"backend/owner": "backend/remote backend/status", "backend/worker": "backend/remote",
	"backend/doctor": "backend/status", "backend/retention": "backend/status", "backend/run": "backend/status", "backend/verify": "backend/macproof backend/status", "backend/vm": "backend/status",
	"backend": "backend/api backend/client", "backend/client": "backend/api", "backend/hometest": "backend",
	"backend/guest/guesttest": "backend/guest", "backend/guest/lima": "backend/guest backend/guest/notes", "backend/guest/forge": "backend/guest/lima", "backend/guest/pause": "backend/guest/lima", "backend/guest/qemu": "backend/guest", "backend/guest/all": "backend/guest backend/guest/lima", "backend/family/linux": "backend/family", "backend/family/debian": "backend/family backend/family/linux", "backend/family/all": "backend/family backend/family/debian backend/family/linux", "backend/machine": "backend/proof", "backend/publish/folder": "backend/publish", "backend/publish/github": "backend/publish", "backend/publish/s3": "backend/publish", "backend/publish/publishtest": "backend/publish", "backend/publish/all": "backend/publish backend/publish/folder backend/publish/github backend/publish/s3", "backend/leak": "backend/evidence", "backend/sanitise": "backend/evidence backend/guest", "backend/target": "backend/sanitise", "backend/team": "backend/jobs",
	"backend/packer": "backend/packer/command backend/packer/log backend/packer/platform backend/packer/rewrite backend/packer/template", "backend/packer/command": "backend/packer/platform backend/packer/template", "backend/packer/run": "backend/packer backend/packer/log backend/packer/platform backend/packer/template", "backend/build/recovery": "backend/build/outputs", "backend/build": "backend/build/outputs backend/build/record backend/build/recovery backend/build/release backend/build/vmdisk", "backend/build/release": "backend/build/record", "backend/build/delivery": "backend/build backend/build/outputs backend/build/record backend/build/release",
	"backend/disk": "backend/cause backend/disk/utm backend/home", "backend/disk/files": "backend/cause backend/disk backend/disk/ext4 backend/home", "backend/fetch": "backend/home", "backend/home": "backend/cause backend/limit", "backend/event": "backend/limit", "backend/secret": "backend/cause backend/home backend/limit", "backend/qemu": "backend/cause backend/fetch backend/home", "backend/cause": "resources",
}

// methodLimit is the most methods that a type below backend/ may have.
const methodLimit = 30

// lineLimit is the most lines that a package below backend/ may have, without its
// tests.
const lineLimit = 2000

// noExec may start no process of their own: everything goes through a guest or
// a machine.
var noExec = []string{"backend/dialogue", "backend/build", "backend/build/outputs", "backend/build/record", "backend/build/release", "backend/build/delivery", "backend/build/recovery", "backend/build/vmdisk", "backend/family", "backend/family/linux", "backend/family/debian", "backend/family/all", "backend/proof", "backend/reality", "backend/publish", "backend/publish/s3", "backend/publish/folder", "backend/publish/github"}

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
	arrows := map[string][]string{}
	for _, p := range pkgs {
		path := strings.TrimPrefix(p.ImportPath, "ingot/")
		if _, known := floors[path]; !known {
			t.Errorf("%s stands on no floor: add it to floors", path)
			continue
		}
		if p.Doc == "" {
			t.Errorf("%s has no package doc comment", path)
		}
		for _, msg := range wrongImports(path, p.Imports) {
			t.Error(msg)
		}
		for _, i := range p.Imports {
			if to, ours := strings.CutPrefix(i, "ingot/"); ours && floors[to] == floors[path] {
				arrows[path] = append(arrows[path], to)
			}
		}
		if strings.HasPrefix(path, "backend") {
			if n := lines(t, p); n > lineLimit {
				t.Errorf("%s has %d lines without its tests: a package below backend/ has %d at most", path, n, lineLimit)
			}
		}
	}
	for from, to := range sameFloor {
		for _, i := range strings.Fields(to) {
			if !slices.Contains(arrows[from], i) {
				t.Errorf("sameFloor lists %s → %s, which is not there", from, i)
			}
		}
	}
	if circle := circleIn(arrows); circle != nil {
		t.Errorf("a circle of imports: %s", strings.Join(circle, " → "))
	}
}

// wrongImports lists the imports that break a rule of the house.
func wrongImports(path string, imports []string) []string {
	var wrong []string
	floor := floors[path]
	for _, i := range imports {
		to, ours := strings.CutPrefix(i, "ingot/")
		switch f := floors[to]; {
		case !ours:
		case f > floor:
			wrong = append(wrong, path+" imports "+to+", which stands higher")
		case f == floor && !slices.Contains(strings.Fields(sameFloor[path]), to):
			wrong = append(wrong, path+" imports "+to+" on its own floor: list it in sameFloor, or move what both need down")
		case floor >= 7 && f < 5 && to != "resources":
			wrong = append(wrong, path+" imports "+to+": faces import the open home, its client and the rooms only")
		}
		if strings.HasPrefix(path, "backend") && strings.HasPrefix(i, "fyne.io/") {
			wrong = append(wrong, path+" imports "+i+": the backend has no face")
		}
		if i == "os/exec" && slices.Contains(noExec, path) {
			wrong = append(wrong, path+" imports os/exec: commands go through guest.Guest")
		}
	}
	return wrong
}

// circleIn finds a circle among arrows, or nil. Go refuses one of imports; the
// rule is here for arrows that the listed packages would make together.
func circleIn(arrows map[string][]string) []string {
	var walk func(path []string) []string
	walk = func(path []string) []string {
		for _, to := range arrows[path[len(path)-1]] {
			if slices.Contains(path, to) {
				return append(path, to)
			}
			if c := walk(append(slices.Clone(path), to)); c != nil {
				return c
			}
		}
		return nil
	}
	for from := range arrows {
		if c := walk([]string{from}); c != nil {
			return c
		}
	}
	return nil
}

// lines counts the lines of a package's files, without its tests.
func lines(t *testing.T, p pkg) (n int) {
	t.Helper()
	for _, f := range p.GoFiles {
		b, err := os.ReadFile(filepath.Join(p.Dir, f))
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(b), "\n")
	}
	return n
}

// method is the beginning of a method's declaration, with its type.
var method = regexp.MustCompile(`(?m)^func \([a-zA-Z_]* ?\*?([A-Za-z]+)[^)]*\) [A-Za-z]`)

// manyMethods lists the types of a package with more methods than the limit.
func manyMethods(path string, sources []string, limit int) (out []string) {
	count := map[string]int{}
	for _, s := range sources {
		for _, m := range method.FindAllStringSubmatch(s, -1) {
			count[m[1]]++
		}
	}
	for name, n := range count {
		if n > limit {
			out = append(out, fmt.Sprintf("%s has %d methods", name, n))
		}
	}
	slices.Sort(out)
	return out
}

// A type with many methods is several types. cmd/ and app/ are exempt.
func TestNoTypeOfManyMethods(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, "ingot/")
		if !strings.HasPrefix(path, "backend") {
			continue
		}
		var sources []string
		for _, f := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, string(b))
		}
		for _, m := range manyMethods(path, sources, methodLimit) {
			t.Errorf("%s: %s; %d is the limit", path, m, methodLimit)
		}
	}
}

// The rules must be able to fail.
func TestHouseRulesCanFail(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		imports []string
	}{
		"upwards":    {"backend/disk", []string{"ingot/backend/build"}},
		"fyne":       {"backend/guest", []string{"fyne.io/fyne/v2"}},
		"exec":       {"backend/family/debian", []string{"os/exec"}},
		"low":        {"cmd/ingot", []string{"ingot/backend/build"}},
		"same floor": {"backend/status", []string{"ingot/backend/verify"}},
	} {
		if len(wrongImports(c.path, c.imports)) == 0 {
			t.Errorf("%s: the rule did not fail", name)
		}
	}
	if c := circleIn(map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a"}}); c == nil {
		t.Error("circle: the rule did not fail")
	}
	if m := manyMethods("backend/disk", []string{"func (a *A) B() {}\nfunc (a A) C() {}\nfunc (*D[T]) E() {}\n"}, 1); len(m) != 1 || m[0] != "A has 2 methods" {
		t.Errorf("methods: %v", m)
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
