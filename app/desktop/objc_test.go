package desktop

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

// calledWith are the texts that the darwin files give to a function.
func calledWith(t *testing.T, names ...string) []string {
	t.Helper()
	files, err := filepath.Glob("*_darwin.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v: %v", files, err)
	}
	var found []string
	for _, f := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			name := ""
			switch fn := call.Fun.(type) {
			case *ast.Ident:
				name = fn.Name
			case *ast.SelectorExpr:
				name = fn.Sel.Name
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && slices.Contains(names, name) {
				s, _ := strconv.Unquote(lit.Value)
				found = append(found, s)
			}
			return true
		})
	}
	return found
}

// strangers are the names that are not in known.
func strangers(found, known []string) []string {
	var out []string
	for _, f := range found {
		if !slices.Contains(known, f) {
			out = append(out, f)
		}
	}
	return out
}

// Every selector and class that the darwin files use is listed, with nothing
// listed that they do not use, and the checklist for a Mac has each.
func TestObjectiveCNames(t *testing.T) {
	page, err := os.ReadFile("../../docs/macos-checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	classes, selectors := []string{}, slices.Clone(objcOwn)
	for _, u := range objcUses {
		classes = append(classes, u.class)
		selectors = append(append(selectors, u.of...), u.instance...)
	}
	for p, s := range objcProtocols {
		classes = append(classes, p)
		selectors = append(selectors, s...)
	}
	usedSelectors := calledWith(t, "sel")
	usedClasses := calledWith(t, "cls", "GetClass", "GetProtocol")
	if len(usedSelectors) < 30 || len(usedClasses) < 10 {
		t.Fatalf("read %d selectors and %d classes only", len(usedSelectors), len(usedClasses))
	}
	if s := strangers(usedSelectors, selectors); len(s) > 0 {
		t.Errorf("selectors that are used and not listed: %v", s)
	}
	if s := strangers(selectors, usedSelectors); len(s) > 0 {
		t.Errorf("selectors that are listed and not used: %v", s)
	}
	if s := strangers(usedClasses, classes); len(s) > 0 {
		t.Errorf("classes that are used and not listed: %v", s)
	}
	for _, name := range append(classes, selectors...) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/macos-checklist.md does not name `%s`", name)
		}
	}
	if len(strangers([]string{"noSuchSelector:"}, selectors)) != 1 {
		t.Error("a selector that is not listed goes unnoticed")
	}
}

// A block is called through the function that it names; purego's own way panics for a
// block of the system's.
func TestBlockIsCalled(t *testing.T) {
	var got []uintptr
	b := block{invoke: purego.NewCallback(func(self, options uintptr) uintptr {
		got = append(got, self, options)
		return 0
	})}
	at := unsafe.Pointer(&b)
	purego.SyscallN(invokeOf(at), uintptr(at), 24)
	if !slices.Equal(got, []uintptr{uintptr(at), 24}) {
		t.Errorf("called with %v", got)
	}
	files, err := filepath.Glob("*_darwin.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), ".Invoke(") {
			t.Errorf("%s: Block.Invoke calls blocks that Go made only: use callBlock", f)
		}
	}
}

// A panic in a callback is logged, and does not end the process.
func TestGuarded(t *testing.T) {
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	guarded("a click", func() { panic("no such row") })
	if !strings.Contains(log.String(), "no such row") || !strings.Contains(log.String(), "a click") {
		t.Errorf("logged: %s", log.String())
	}
}

func TestNoteRefused(t *testing.T) {
	for want, c := range map[string]struct {
		granted bool
		why     string
	}{"": {true, ""}, "System Settings": {false, ""}, "not allowed": {false, "Notifications are not allowed for this application"}} {
		if err := noteRefused(c.granted, c.why); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
