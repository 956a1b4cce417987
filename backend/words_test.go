package backend

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// retired are words that no identifier may contain, each with the term to use
// instead. A word matches whole words of an identifier: "once" does not match
// "nonce".
var retired = map[string]string{
	"afar":      "remote",
	"abroad":    "remote",
	"insist":    "retry",
	"patience":  "retry, timeout",
	"heart":     "renewal, heartbeat",
	"comebacks": "reconnects",
	"outlives":  "KeepOnDisconnect",
	"rests":     "Paused",
	"herald":    "notifier",
	"notary":    "check",
	"bury":      "remove",
	"said":      "message, output, reported",
	"told":      "reported",
	"tell":      "notify, send",
	"tells":     "reports",
	"says":      "message, output",
	"whisper":   "log",
	"place":     "lock, path, geometry: what it is a place of",
	"believed":  "trusted, accepted",
	"mine":      "what it is",
	"soon":      "the interval",
}

// allowed are identifiers that contain a retired word in its usual meaning, by
// package folder.
var allowed = map[string]bool{
	"backend/disk.place": true, // puts a cluster into the file
	"backend/leak.place": true, // finds the place of a finding
}

// Identifiers use the field's terms.
func TestWords(t *testing.T) {
	files := 0
	for _, root := range []string{"backend", "app", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(filepath.ToSlash(path), "../")
			if d.IsDir() {
				return nil
			}
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return nil
			}
			files++
			found, err := retiredNames(path, nil)
			for _, f := range found {
				if !allowed[filepath.ToSlash(filepath.Dir(name))+"."+f.name] {
					t.Errorf("%s: %s: use another word (%s)", f.at, f.name, f.instead)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
}

// The negative control: every kind of declaration is found.
func TestWordsAreFound(t *testing.T) {
	const src = `package p
type heart struct{ told int }
type Outlives interface{ Tell(patience int) (said string) }
func insistAgain[afar any]() {
	soon, nonce := 1, 2
	for _, abroad := range []int{soon, nonce} { _ = abroad }
	const theHerald = "notary"
	var placeOf, replace int
}
func (mine heart) bury() {}
`
	found, err := retiredNames("p.go", src)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range found {
		names = append(names, f.name)
	}
	const want = "heart told Outlives Tell patience said insistAgain afar soon abroad theHerald placeOf bury mine"
	if got := strings.Join(names, " "); !sameWords(got, want) {
		t.Errorf("found %s, want %s", got, want)
	}
}

type retiredName struct {
	at            token.Position
	name, instead string
}

// retiredNames returns the identifiers that a file declares and that contain a
// retired word. src is as in parser.ParseFile.
func retiredNames(file string, src any) (out []retiredName, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, src, 0)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	declared := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			id, ok := e.(*ast.Ident)
			if !ok {
				continue
			}
			for _, w := range wordsOf(id.Name) {
				if instead := retired[w]; instead != "" {
					out = append(out, retiredName{set.Position(id.Pos()), id.Name, instead})
					break
				}
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.FuncDecl:
			declared(d.Name)
		case *ast.TypeSpec:
			declared(d.Name)
		case *ast.ValueSpec:
			for _, id := range d.Names {
				declared(id)
			}
		case *ast.Field:
			for _, id := range d.Names {
				declared(id)
			}
		case *ast.AssignStmt:
			if d.Tok == token.DEFINE {
				declared(d.Lhs...)
			}
		case *ast.RangeStmt:
			if d.Tok == token.DEFINE {
				declared(d.Key, d.Value)
			}
		}
		return true
	})
	return out, nil
}

// wordsOf splits an identifier at its capitals and underscores: "theHTTPPlace"
// gives the, h, t, t, p, place.
func wordsOf(name string) (words []string) {
	start := 0
	flush := func(end int) {
		if w := strings.ToLower(strings.Trim(name[start:end], "_")); w != "" {
			words = append(words, w)
		}
		start = end
	}
	for i, r := range name {
		if unicode.IsUpper(r) || r == '_' {
			flush(i)
		}
	}
	flush(len(name))
	return words
}

// sameWords reports whether two texts have the same words in any order.
func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
