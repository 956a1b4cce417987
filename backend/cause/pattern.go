package cause

import (
	"regexp"
	"regexp/syntax"
)

// pattern is a regular expression as the alternatives that it consists of, each with
// the bytes that a match may begin with.
type pattern []alternative

type alternative struct {
	re    *regexp.Regexp
	begin *[256]bool // nil: a match may begin anywhere, or with any byte
}

func compilePattern(expr string) (pattern, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	var p pattern
	for _, a := range alternatives(tree) {
		re, err := regexp.Compile(a)
		if err != nil {
			return nil, err
		}
		p = append(p, alternative{re, beginnings(a)})
	}
	return p, nil
}

// alternatives takes a|b and ^(a|b) apart.
func alternatives(tree *syntax.Regexp) (out []string) {
	switch tree.Op {
	case syntax.OpAlternate:
		for _, sub := range tree.Sub {
			out = append(out, alternatives(sub)...)
		}
		return out
	case syntax.OpCapture:
		return alternatives(tree.Sub[0])
	case syntax.OpConcat:
		if len(tree.Sub) == 2 && tree.Sub[0].Op == syntax.OpBeginText {
			for _, a := range alternatives(tree.Sub[1]) {
				out = append(out, `\A(?:`+a+`)`)
			}
			return out
		}
	}
	return []string{tree.String()}
}

// match tells whether the pattern fits the line. Most alternatives begin with ^ and
// a few letters: looking at the first byte spares the search in most lines.
func (p pattern) match(line string) bool {
	for i := range p {
		if a := &p[i]; a.begin != nil && (line == "" || !a.begin[line[0]]) {
			continue
		} else if a.re.MatchString(line) {
			return true
		}
	}
	return false
}

// beginnings returns the bytes that a line may begin with which an expression fits
// that starts with ^; nil for another one, and for one that fits an empty beginning.
func beginnings(expr string) *[256]bool {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil || prog.StartCond()&syntax.EmptyBeginText == 0 {
		return nil
	}
	var set [256]bool
	seen := map[uint32]bool{}
	any := false
	var walk func(pc uint32)
	walk = func(pc uint32) {
		if seen[pc] {
			return
		}
		seen[pc] = true
		switch in := prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			walk(in.Out)
			walk(in.Arg)
		case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
			walk(in.Out)
		case syntax.InstRune, syntax.InstRune1:
			for b := range 256 { // a byte above 127 begins a rune that is not looked at
				set[b] = set[b] || b > 127 || in.MatchRune(rune(b))
			}
		case syntax.InstFail:
		default:
			any = true
		}
	}
	walk(uint32(prog.Start))
	if any {
		return nil
	}
	return &set
}
