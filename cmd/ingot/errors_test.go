package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// docs/cli.md and the constants are one table: the same codes with the same
// words.
func TestExitCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "## Exit codes")
	section, _, _ = strings.Cut(section, "\n## ")
	if !ok {
		t.Fatal("the page has no section on exit codes")
	}
	documented := map[int]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| (.+) \|$`).FindAllStringSubmatch(section, -1) {
		code, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		documented[code] = m[2]
	}
	defined := exitCodes(t)
	if len(defined) < 10 {
		t.Fatalf("only %d constants were found", len(defined))
	}
	for code, words := range defined {
		if documented[code] != words {
			t.Errorf("code %d: the page says %q, errors.go %q", code, documented[code], words)
		}
	}
	for code := range documented {
		if _, ok := defined[code]; !ok {
			t.Errorf("code %d is on the page and nowhere else", code)
		}
	}
}

// exitCodes reads the constants of errors.go with their comments.
func exitCodes(t *testing.T) map[int]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[int]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Names) != 1 || !strings.HasPrefix(v.Names[0].Name, "exit") || len(v.Values) != 1 {
			return true
		}
		lit, ok := v.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		code, err := strconv.Atoi(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		codes[code] = strings.TrimSpace(v.Comment.Text())
		return true
	})
	return codes
}
