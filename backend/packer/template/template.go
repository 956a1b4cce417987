// Package template reads Packer's HCL2 templates as far as virtual machines of
// the builder qemu are concerned.
//
// Load reads a file *.pkr.hcl or a folder of them, evaluates variables, locals and
// functions, and returns the arguments of every source "qemu" of every build. It
// starts no builder, asks no data source and reads nothing from the network.
//
// # Values that are not known
//
// A variable without a value, a data source, the time and a secret have no value
// here. What depends on them is unknown too, and an Argument lists in Depends which
// names it waits for. Nothing is guessed in their stead.
//
// The language is described in
// https://developer.hashicorp.com/packer/docs/templates/hcl_templates; what is
// evaluated when was compared with hashicorp/packer@v1.11.2 hcl2template.
package template

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"ingot/backend/cause"
)

// Extension is the end of the name of a template's file.
const Extension = ".pkr.hcl"

// Options are what a template gets from outside.
type Options struct {
	Vars     []string            // NAME=VALUE, as packer build -var
	VarFiles []string            // paths, as packer build -var-file
	Env      func(string) string // environment, for env() and PKR_VAR_NAME; nil is an empty one
	OS       string              // value of Go's GOOS where the template will be used; data "host-info" reports it
	Version  string              // packer.version; "" is not known
	Contents map[string][]byte   // stand in for the files of the same paths
}

// Template is what was read.
type Template struct {
	Root     string            // the folder of the template, path.root
	Files    map[string][]byte // content of the template's files, by path
	Sources  []Source          // of the builder qemu, in the order of the builds
	Problems []Problem
	Plugins  map[string]string // required_plugins: name → version constraint
}

// Source is a source "qemu" as one build uses it.
type Source struct {
	Name  string // its name; with Build "" no build uses it
	Build string // name of the machine's build, for messages
	Args  map[string]Argument
	Range hcl.Range // of its header
	Body  hcl.Range // of the block's body, from brace to brace
}

// Argument is an argument of a source.
type Argument struct {
	Value   cty.Value // without marks; null, unknown or partly unknown values occur
	Depends []string  // what it depends on and is not known, sorted: "var.iso", "timestamp()"
	Name    hcl.Range // of the argument's name
	Expr    hclsyntax.Expression
}

// Problem is a part of a template that Packer refuses, or that is not looked at.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"`
	// Refused reports that Packer does not accept the template for it.
	Refused bool `json:"refused,omitempty"`
}

// String returns the problem as FILE:LINE:COLUMN: TEXT.
func (p Problem) String() string {
	s := p.Text
	if p.Fix != "" {
		s += ": " + p.Fix
	}
	if p.File == "" {
		return s
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, s)
}

// Error is a template that cannot be read at all.
type Error struct{ Problem }

func (e *Error) Error() string { return e.String() }

// ErrorClass sorts the error; see package cause.
func (*Error) ErrorClass() cause.Class { return cause.Input }

// Bounds of what is read.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxFiles = 200     // of one folder
)

// Load reads the template at path: a file, or the files of a folder. Errors are
// *Error and those of the file system.
func Load(path string, opt Options) (*Template, error) {
	if opt.Env == nil {
		opt.Env = func(string) string { return "" }
	}
	files, root := []string{path}, filepath.Dir(path)
	if _, ok := opt.Contents[path]; !ok {
		var err error
		if files, root, err = list(path); err != nil {
			return nil, err
		}
	}
	t := &Template{Root: root, Files: map[string][]byte{}, Plugins: map[string]string{}}
	l := newLoader(t, opt)
	for _, f := range files {
		body, err := l.parse(f)
		if err != nil {
			return nil, err
		}
		l.collect(body)
	}
	if err := l.setVariables(path); err != nil {
		return nil, err
	}
	l.setLocals()
	l.builds()
	return t, nil
}

// list returns the template's files and its folder.
func list(path string) (files []string, root string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", &Error{Problem{Text: err.Error()}}
	}
	if !info.IsDir() {
		return []string{path}, filepath.Dir(path), checkName(path, info)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, "", fmt.Errorf("template: %w", err)
	}
	old := ""
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasSuffix(name, Extension) && !e.IsDir():
			files = append(files, filepath.Join(path, name))
		case strings.HasSuffix(name, ".json"):
			old = name
		}
	}
	switch {
	case len(files) == 0 && old != "":
		return nil, "", jsonError(filepath.Join(path, old))
	case len(files) == 0:
		return nil, "", &Error{Problem{File: "", Text: path + " holds no file *" + Extension}}
	case len(files) > maxFiles:
		return nil, "", &Error{Problem{Text: fmt.Sprintf("%s holds %d files *%s; at most %d are read", path, len(files), Extension, maxFiles)}}
	}
	return files, path, nil
}

func checkName(path string, info os.FileInfo) error {
	switch {
	case strings.HasSuffix(path, ".json"):
		return jsonError(path)
	case !strings.HasSuffix(path, Extension):
		return &Error{Problem{Text: path + " is no Packer template: its name does not end with " + Extension}}
	case !info.Mode().IsRegular():
		return &Error{Problem{Text: path + " is no regular file"}}
	}
	return nil
}

func jsonError(path string) error {
	if strings.HasSuffix(path, ".pkr.json") {
		return &Error{Problem{Text: path + " is HCL in JSON syntax, which is not read", Fix: "write it as " + strings.TrimSuffix(filepath.Base(path), ".json") + ".hcl"}}
	}
	return &Error{Problem{Text: path + " is a JSON template, Packer's format before HCL2, which is not read", Fix: "`packer hcl2_upgrade -with-annotations " + filepath.Base(path) + "` writes " + filepath.Base(path) + Extension}}
}

// problemAt returns a problem at the beginning of a range.
func problemAt(r hcl.Range, text, fix string, refused bool) Problem {
	return Problem{File: r.Filename, Line: r.Start.Line, Column: r.Start.Column, Text: text, Fix: fix, Refused: refused}
}

// problemOf returns the first error of diagnostics.
func problemOf(diags hcl.Diagnostics) Problem {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		text := strings.TrimSuffix(d.Summary, ".")
		if d.Detail != "" {
			text += ": " + d.Detail
		}
		r := hcl.Range{}
		if d.Subject != nil {
			r = *d.Subject
		}
		return problemAt(r, text, "", true)
	}
	return Problem{}
}

// parse reads one file of HCL. Errors are *Error.
func (l *loader) parse(path string) (*hclsyntax.Body, error) {
	src, ok := l.opt.Contents[path]
	if !ok {
		var err error
		if src, err = readBounded(path); err != nil {
			return nil, err
		}
	}
	if strings.HasSuffix(path, Extension) {
		l.t.Files[path] = src
	}
	if p := tooNested(path, src); p != nil {
		return nil, &Error{*p}
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, &Error{problemOf(diags)}
	}
	return file.Body.(*hclsyntax.Body), nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, &Error{Problem{Text: err.Error()}}
	case !info.Mode().IsRegular():
		return nil, &Error{Problem{Text: path + " is no regular file"}}
	case info.Size() > maxFile:
		return nil, &Error{Problem{Text: fmt.Sprintf("%s has %d bytes; a template of more than %d is not read", path, info.Size(), maxFile)}}
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return src, nil
}

// Bounds of what the recursive parser and evaluator get.
const (
	maxDepth     = 200   // of brackets within each other
	maxOperators = 20000 // of one file
	maxNumber    = 40    // characters of a number
)

// hugeExponent is a number that is longer as text than a computer's memory.
var hugeExponent = regexp.MustCompile(`[eE][+-]?\d{4}`)

// tooNested returns a problem if a file has more brackets within each other, or more
// operators, than the parser's recursion should meet.
func tooNested(path string, src []byte) *Problem {
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // its errors are those of the parser
	depth, operators := 0, 0
	for _, tok := range tokens {
		switch tok.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth--
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr:
			operators++
		}
		if tok.Type == hclsyntax.TokenNumberLit && (len(tok.Bytes) > maxNumber || hugeExponent.Match(tok.Bytes)) {
			p := problemAt(tok.Range, "the number is too large", "", false)
			return &p
		}
		if depth > maxDepth || operators > maxOperators {
			p := problemAt(tok.Range, fmt.Sprintf("the template nests more than %d brackets, or has more than %d operators", maxDepth, maxOperators), "", false)
			return &p
		}
	}
	return nil
}

// collect takes over the blocks of one file.
func (l *loader) collect(body *hclsyntax.Body) {
	for _, b := range body.Blocks {
		switch b.Type {
		case "variable":
			l.declare(b)
		case "variables":
			for _, a := range attributes(b.Body) {
				l.variables[a.Name] = &variable{name: a.Name, value: a.Expr, at: a.NameRange, typ: cty.DynamicPseudoType}
			}
		case "locals":
			for _, a := range attributes(b.Body) {
				l.localExprs[a.Name] = a.Expr
			}
		case "local":
			if a := b.Body.Attributes["expression"]; a != nil && len(b.Labels) == 1 {
				l.localExprs[b.Labels[0]] = a.Expr
			}
		case "data":
			l.data(b)
		case "source":
			if len(b.Labels) == 2 {
				l.sources[b.Labels[0]+"."+b.Labels[1]] = b
				l.sourceOrder = append(l.sourceOrder, b.Labels[0]+"."+b.Labels[1])
			} else {
				l.problem(problemAt(b.TypeRange, "a source has two labels: its builder and its name", "", true))
			}
		case "build":
			l.buildBlocks = append(l.buildBlocks, b)
		case "packer":
			l.requirements(b)
		default:
			l.problem(problemAt(b.TypeRange, fmt.Sprintf("the block %q is not one of Packer's", b.Type), "", true))
		}
	}
	for _, a := range attributes(body) {
		l.problem(problemAt(a.NameRange, fmt.Sprintf("the argument %q stands outside of a block", a.Name), "", true))
	}
}

// attributes returns a body's attributes in the order of the file.
func attributes(b *hclsyntax.Body) []*hclsyntax.Attribute {
	var out []*hclsyntax.Attribute
	for _, a := range b.Attributes {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.NameRange.Start.Byte, b.NameRange.Start.Byte)
	})
	return out
}

// requirements reads the versions of required_plugins.
func (l *loader) requirements(b *hclsyntax.Block) {
	for _, in := range b.Body.Blocks {
		if in.Type != "required_plugins" {
			continue
		}
		for _, a := range attributes(in.Body) {
			v, diags := a.Expr.Value(nil)
			if diags.HasErrors() || !v.Type().IsObjectType() || !v.Type().HasAttribute("version") {
				continue
			}
			if s := v.GetAttr("version"); s.Type() == cty.String && s.IsKnown() && !s.IsNull() {
				l.t.Plugins[a.Name] = s.AsString()
			}
		}
	}
}
