package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// builder is the builder whose sources are read.
const builder = "qemu"

// builds sets the template's sources.
func (l *loader) builds() {
	used := map[string]bool{}
	for _, b := range l.buildBlocks {
		for _, ref := range l.references(b) {
			used[ref.name] = true
			l.use(ref)
		}
	}
	for _, name := range l.sourceOrder {
		if used[name] {
			continue
		}
		used[name] = true
		b := l.sources[name]
		switch {
		case b.Labels[0] != builder:
		case len(l.buildBlocks) > 0:
			l.problem(problemAt(b.TypeRange, "no build uses the source "+name, "it is not looked at", false))
		default: // a part of a template
			l.problem(problemAt(b.TypeRange, "no build uses the source "+name, "", false))
			l.use(reference{name: name, at: b.TypeRange, alone: true})
		}
	}
}

// reference is a build's use of a source.
type reference struct {
	name   string // BUILDER.NAME
	build  string // the name that a source block of the build gives, or ""
	at     hcl.Range
	own    *hclsyntax.Body // arguments of a source block in the build, or nil
	alone  bool            // no build uses it
	nested string          // name of the build block, or ""
}

// references returns the sources that a build names.
func (l *loader) references(b *hclsyntax.Block) (refs []reference) {
	nested := ""
	if a := b.Body.Attributes["name"]; a != nil {
		nested, _ = textOf(l.evaluate(a.Expr, l.context()))
	}
	if a := b.Body.Attributes["sources"]; a != nil {
		for _, name := range l.sourceNames(a) {
			refs = append(refs, reference{name: name, at: a.Expr.Range(), nested: nested})
		}
	}
	for _, in := range b.Body.Blocks {
		if in.Type != "source" || len(in.Labels) != 1 {
			continue
		}
		ref := reference{name: strings.TrimPrefix(in.Labels[0], "source."), at: in.LabelRanges[0], own: in.Body, nested: nested}
		if a := in.Body.Attributes["name"]; a != nil {
			ref.build, _ = textOf(l.evaluate(a.Expr, l.context()))
		}
		refs = append(refs, ref)
	}
	return refs
}

// sourceNames evaluates a build's list of sources. Where it is not known, it is that of
// all sources.
func (l *loader) sourceNames(a *hclsyntax.Attribute) (names []string) {
	v, _ := l.evaluate(a.Expr, l.context()).UnmarkDeep()
	if !v.IsKnown() || v.IsNull() || !v.CanIterateElements() {
		l.problem(problemAt(a.Expr.Range(), "which sources the build uses is not known", "all of them are looked at", false))
		return slices.Clone(l.sourceOrder)
	}
	for _, in := range v.AsValueSlice() {
		if name, ok := textOf(in); ok {
			names = append(names, strings.TrimPrefix(name, "source."))
		}
	}
	return names
}

// textOf returns the text of a known string.
func textOf(v cty.Value) (string, bool) {
	v, _ = v.Unmark()
	if v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
		return "", false
	}
	return v.AsString(), true
}

// use adds the source of a reference, if it is one of the builder.
func (l *loader) use(ref reference) {
	typ, name, _ := strings.Cut(ref.name, ".")
	b := l.sources[ref.name]
	switch {
	case b == nil:
		l.problem(problemAt(ref.at, fmt.Sprintf("the build uses the source %s, which is not in the files that were read", ref.name), "", true))
		return
	case typ != builder:
		l.problem(problemAt(ref.at, fmt.Sprintf("the source %s is of the builder %s, which is not looked at", ref.name, typ), "", false))
		return
	}
	s := Source{Name: name, Build: name, Range: b.DefRange(), Body: bodyRange(b), Args: map[string]Argument{}}
	if ref.build != "" {
		s.Build = ref.build
	}
	if ref.alone {
		s.Build = ""
	}
	ctx := l.context()
	ctx.Variables["source"] = cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(s.Name), "type": cty.StringVal(typ)})
	ctx.Variables["build"] = unknown(cty.DynamicPseudoType, "build")
	l.arguments(&s, b.Body, ctx)
	if ref.own != nil {
		l.arguments(&s, ref.own, ctx)
		delete(s.Args, "name")
	}
	l.t.Sources = append(l.t.Sources, s)
}

// bodyRange is the range between a block's braces.
func bodyRange(b *hclsyntax.Block) hcl.Range {
	r := hcl.RangeBetween(b.OpenBraceRange, b.CloseBraceRange)
	r.Start = b.OpenBraceRange.End
	r.End = b.CloseBraceRange.Start
	return r
}

// arguments adds a body's arguments; those that are there already are replaced.
func (l *loader) arguments(s *Source, body *hclsyntax.Body, ctx *hcl.EvalContext) {
	for _, a := range attributes(body) {
		v, marks := l.evaluate(a.Expr, ctx).UnmarkDeep()
		s.Args[a.Name] = Argument{Value: v, Depends: dependsOn(v, marks), Name: a.NameRange, Expr: a.Expr}
	}
}

// dependsOn returns what a value waits for. A value that is known in whole waits for
// nothing, even if it was made of one that is not.
func dependsOn(v cty.Value, marks cty.ValueMarks) []string {
	if v.IsWhollyKnown() {
		return nil
	}
	var names []string
	for m := range maps.Keys(marks) {
		if n, ok := m.(notKnown); ok {
			names = append(names, string(n))
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		names = []string{"a value that Packer makes when it runs"}
	}
	return names
}
