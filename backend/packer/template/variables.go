package template

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// notKnown marks a value that depends on the named thing. Marks go along with a value
// through expressions and functions.
type notKnown string

// unknown returns a value of the type that is not known because of what is named.
func unknown(typ cty.Type, name string) cty.Value { return cty.UnknownVal(typ).Mark(notKnown(name)) }

// loader holds what was read of a template so far.
type loader struct {
	t           *Template
	opt         Options
	variables   map[string]*variable
	localExprs  map[string]hclsyntax.Expression
	dataValues  map[string]map[string]cty.Value
	sources     map[string]*hclsyntax.Block
	sourceOrder []string
	buildBlocks []*hclsyntax.Block
	functions   map[string]function.Function

	varValue cty.Value
	locals   map[string]cty.Value
	visiting map[string]bool // locals that are being evaluated
}

func newLoader(t *Template, opt Options) *loader {
	l := &loader{
		t: t, opt: opt,
		variables: map[string]*variable{}, localExprs: map[string]hclsyntax.Expression{},
		dataValues: map[string]map[string]cty.Value{}, sources: map[string]*hclsyntax.Block{},
		locals: map[string]cty.Value{}, visiting: map[string]bool{},
		varValue: cty.EmptyObjectVal,
	}
	l.functions = functions(t.Root, opt.Env)
	return l
}

// problem records a problem once.
func (l *loader) problem(p Problem) {
	if !slices.Contains(l.t.Problems, p) {
		l.t.Problems = append(l.t.Problems, p)
	}
}

// variable is a declared variable. value is the expression of its value, nil for none.
type variable struct {
	name  string
	typ   cty.Type
	or    *typeexpr.Defaults // of optional attributes of the type; nil for none
	value hclsyntax.Expression
	at    hcl.Range
	given cty.Value // a value from outside; cty.NilVal for none
}

func (l *loader) declare(b *hclsyntax.Block) {
	if len(b.Labels) != 1 {
		l.problem(problemAt(b.TypeRange, "a variable has one label: its name", "", true))
		return
	}
	v := &variable{name: b.Labels[0], typ: cty.DynamicPseudoType, at: b.LabelRanges[0]}
	if a := b.Body.Attributes["type"]; a != nil {
		typ, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
		if diags.HasErrors() {
			l.problem(problemOf(diags))
		} else {
			v.typ, v.or = typ, defaults
		}
	}
	if a := b.Body.Attributes["default"]; a != nil {
		v.value = a.Expr
	}
	l.variables[v.name] = v
}

// setVariables gives each variable its value. Later ones win, as in Packer: default,
// environment, *.auto.pkrvars.hcl of the folder, then files and values that the caller
// names.
func (l *loader) setVariables(path string) error {
	for name, v := range l.variables {
		if s := l.opt.Env("PKR_VAR_" + name); s != "" {
			v.given = l.parseValue(v, s)
		}
	}
	files, err := autoFiles(path)
	if err != nil {
		return err
	}
	for _, f := range append(files, l.opt.VarFiles...) {
		if err := l.varFile(f); err != nil {
			return err
		}
	}
	for _, s := range l.opt.Vars {
		name, value, ok := strings.Cut(s, "=")
		v := l.variables[name]
		switch {
		case !ok:
			return &Error{Problem{Text: fmt.Sprintf("variable %q: give it as NAME=VALUE", s)}}
		case v == nil:
			return &Error{Problem{Text: fmt.Sprintf("the template declares no variable %q", name)}}
		}
		v.given = l.parseValue(v, value)
	}
	values := map[string]cty.Value{}
	for _, name := range slices.Sorted(maps.Keys(l.variables)) {
		values[name] = l.valueOf(l.variables[name])
	}
	l.varValue = cty.ObjectVal(values)
	return nil
}

// autoFiles returns the *.auto.pkrvars.hcl of a folder. Packer reads none for a single
// file.
func autoFiles(path string) ([]string, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return nil, nil //nolint:nilerr // Load has looked at the path
	}
	files, err := filepath.Glob(filepath.Join(globEscape(path), "*.auto.pkrvars.hcl"))
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return files, nil
}

// globEscape returns a path that Glob takes literally.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// varFile reads a file of values.
func (l *loader) varFile(path string) error {
	if strings.HasSuffix(path, ".json") {
		return &Error{Problem{Text: path + ": values in JSON are not read", Fix: "write them as NAME = VALUE in a file *.pkrvars.hcl"}}
	}
	body, err := l.parse(path)
	if err != nil {
		return err
	}
	for _, a := range attributes(body) {
		v := l.variables[a.Name]
		if v == nil {
			continue // Packer warns only
		}
		v.given = l.convertTo(v, l.evaluate(a.Expr, nil), a.Expr.Range())
	}
	return nil
}

// parseValue reads a value from the command line or the environment: text for a
// variable of type string or without a type, an expression for others.
func (l *loader) parseValue(v *variable, s string) cty.Value {
	if v.typ == cty.String || v.typ == cty.DynamicPseudoType {
		return cty.StringVal(s)
	}
	at := "value of " + v.name
	if p := tooNested(at, []byte(s)); p != nil {
		l.problem(*p)
		return unknown(v.typ, "var."+v.name)
	}
	expr, diags := hclsyntax.ParseExpression([]byte(s), at, hcl.InitialPos)
	if diags.HasErrors() {
		l.problem(problemOf(diags))
		return unknown(v.typ, "var."+v.name)
	}
	return l.convertTo(v, l.evaluate(expr, nil), expr.Range())
}

// convertTo converts a value to the variable's type.
func (l *loader) convertTo(v *variable, value cty.Value, at hcl.Range) cty.Value {
	if v.or != nil && value.IsKnown() && !value.IsNull() {
		value = v.or.Apply(value)
	}
	got, err := convert.Convert(value, v.typ)
	if err != nil {
		l.problem(problemAt(at, fmt.Sprintf("the value of variable %q: %v", v.name, err), "", true))
		return unknown(v.typ, "var."+v.name)
	}
	return got
}

// valueOf returns a variable's value; one without a value is not known.
func (l *loader) valueOf(v *variable) cty.Value {
	switch {
	case v.given != cty.NilVal:
		return v.given
	case v.value != nil:
		return l.convertTo(v, l.evaluate(v.value, &hcl.EvalContext{Functions: l.functions}), v.value.Range())
	}
	l.problem(problemAt(v.at, fmt.Sprintf("the variable %q has no value", v.name), fmt.Sprintf("give it with --var %s=VALUE or --var-file FILE; no finding rests on it", v.name), false))
	return unknown(v.typ, "var."+v.name)
}

// data records a data source. Of host-info (github.com/stromweld/packer-plugin-host-info)
// the system is known, of others nothing.
func (l *loader) data(b *hclsyntax.Block) {
	if len(b.Labels) != 2 {
		l.problem(problemAt(b.TypeRange, "a data block has two labels: its type and its name", "", true))
		return
	}
	typ, name := b.Labels[0], b.Labels[1]
	label := "data." + typ + "." + name
	value := unknown(cty.DynamicPseudoType, label)
	if typ == "host-info" && l.opt.OS != "" {
		value = cty.ObjectVal(map[string]cty.Value{"os_type": cty.StringVal(l.opt.OS)})
	} else {
		l.problem(problemAt(b.TypeRange, fmt.Sprintf("the data source %s is not asked", label), "no finding rests on it", false))
	}
	if l.dataValues[typ] == nil {
		l.dataValues[typ] = map[string]cty.Value{}
	}
	l.dataValues[typ][name] = value
}

// maxText bounds the text within one local, in bytes: locals that name each other
// several times would grow without end.
const maxText = 256 << 10

// setLocals evaluates every local.
func (l *loader) setLocals() {
	for _, name := range slices.Sorted(maps.Keys(l.localExprs)) {
		l.local(name)
	}
}

// local evaluates a local after those that it names.
func (l *loader) local(name string) {
	if _, done := l.locals[name]; done {
		return
	}
	expr := l.localExprs[name]
	if l.visiting[name] {
		l.locals[name] = unknown(cty.DynamicPseudoType, "local."+name)
		l.problem(problemAt(expr.Range(), fmt.Sprintf("local.%s depends on itself", name), "", true))
		return
	}
	l.visiting[name] = true
	for _, in := range namesOf(expr, "local") {
		if l.localExprs[in] != nil {
			l.local(in)
		}
	}
	if _, cyclic := l.locals[name]; cyclic {
		return
	}
	v := l.evaluate(expr, l.context())
	if textSize(v) > maxText {
		l.problem(problemAt(expr.Range(), fmt.Sprintf("local.%s has more than %d bytes and is not evaluated", name, maxText), "", false))
		v = unknown(cty.DynamicPseudoType, "local."+name)
	}
	l.locals[name] = v
}

// namesOf returns the attributes of root that an expression names: of local.a[0].b it
// is a.
func namesOf(expr hclsyntax.Expression, root string) (names []string) {
	for _, t := range expr.Variables() {
		if t.RootName() != root || len(t) < 2 {
			continue
		}
		switch step := t[1].(type) {
		case hcl.TraverseAttr:
			names = append(names, step.Name)
		case hcl.TraverseIndex:
			if step.Key.Type() == cty.String {
				names = append(names, step.Key.AsString())
			}
		}
	}
	return names
}

// textSize returns the bytes of all texts in a value.
func textSize(v cty.Value) (n int) {
	_ = cty.Walk(v, func(_ cty.Path, in cty.Value) (bool, error) {
		in, _ = in.Unmark()
		n++
		if in.Type() == cty.String && in.IsKnown() && !in.IsNull() {
			n += len(in.AsString())
		}
		return n <= maxText, nil
	})
	return n
}

// context returns what expressions can name.
func (l *loader) context() *hcl.EvalContext {
	data := map[string]cty.Value{}
	for typ, values := range l.dataValues {
		data[typ] = cty.ObjectVal(values)
	}
	version := unknown(cty.String, "packer.version")
	if l.opt.Version != "" {
		version = cty.StringVal(l.opt.Version)
	}
	cwd, _ := os.Getwd() // "" where the folder is gone
	return &hcl.EvalContext{
		Functions: l.functions,
		Variables: map[string]cty.Value{
			"var":    l.varValue,
			"local":  cty.ObjectVal(l.locals),
			"data":   cty.ObjectVal(data),
			"path":   cty.ObjectVal(map[string]cty.Value{"root": cty.StringVal(filepath.ToSlash(l.t.Root)), "cwd": cty.StringVal(filepath.ToSlash(cwd))}),
			"packer": cty.ObjectVal(map[string]cty.Value{"version": version, "iterationID": unknown(cty.String, "packer.iterationID"), "versionFingerprint": unknown(cty.String, "packer.versionFingerprint")}),
		},
	}
}

// evaluate returns an expression's value. One that has an error is a problem, and its
// value is not known.
func (l *loader) evaluate(expr hclsyntax.Expression, ctx *hcl.EvalContext) (v cty.Value) {
	const failed = "an expression that cannot be evaluated"
	defer func() {
		if p := recover(); p != nil { // of a function that meets arguments of a kind that it does not expect
			l.problem(problemAt(expr.Range(), fmt.Sprintf("the expression cannot be evaluated: %v", p), "", false))
			v = unknown(cty.DynamicPseudoType, failed)
		}
	}()
	v, diags := expr.Value(ctx)
	if !diags.HasErrors() {
		return v
	}
	p := problemOf(diags)
	if len(p.Text) > 400 {
		p.Text = strings.ToValidUTF8(p.Text[:400], "") + " …"
	}
	l.problem(p)
	return unknown(cty.DynamicPseudoType, failed)
}
