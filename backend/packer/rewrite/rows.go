package rewrite

import (
	"bytes"
	"strconv"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Rows is the list of qemuargs as tokens. A row keeps the comments and line ends around
// it.
type Rows struct {
	open  hclwrite.Tokens // to the opening bracket
	items []item
	close hclwrite.Tokens // what comes after the last row, and the closing bracket
}

// item is one row: what stands before it, the row, and what follows up to the next one:
// the comma, a comment, the end of the line.
type item struct{ before, value, after hclwrite.Tokens }

// RowText writes a row.
func RowText(key, value string) string {
	return "[" + strconv.Quote(key) + ", " + quoteHCL(value) + "]"
}

// quoteHCL quotes a text for HCL, in which ${ and %{ begin a template.
func quoteHCL(s string) string {
	return string(bytes.TrimSpace(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()))
}

// EditRows changes the list of qemuargs of a block.
func EditRows(body *hclwrite.Body, change func(*Rows)) bool {
	attr := body.GetAttribute("qemuargs")
	if attr == nil {
		return false
	}
	l, ok := readRows(attr.Expr().BuildTokens(nil))
	if !ok {
		return false
	}
	change(l)
	body.SetAttributeRaw("qemuargs", l.tokens())
	return true
}

// readRows splits the tokens of a list at its commas.
func readRows(tokens hclwrite.Tokens) (*Rows, bool) {
	if len(tokens) < 2 || tokens[0].Type != hclsyntax.TokenOBrack || tokens[len(tokens)-1].Type != hclsyntax.TokenCBrack {
		return nil, false
	}
	l := &Rows{open: tokens[:1], close: tokens[len(tokens)-1:]}
	depth := 0
	var current item
	for _, t := range tokens[1 : len(tokens)-1] {
		layout := depth == 0 && (t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment)
		comma := depth == 0 && t.Type == hclsyntax.TokenComma
		switch {
		case comma, layout && len(current.value) > 0:
			current.after = append(current.after, t)
		case layout:
			current.before = append(current.before, t)
		default:
			if len(current.after) > 0 && depth == 0 {
				l.items = append(l.items, current)
				current = item{}
			}
			current.value = append(current.value, t)
		}
		switch t.Type {
		case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOBrace, hclsyntax.TokenOQuote, hclsyntax.TokenTemplateInterp:
			depth++
		case hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace, hclsyntax.TokenCQuote, hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
	}
	if len(current.value) > 0 {
		l.items = append(l.items, current)
	} else {
		l.close = append(current.before, l.close...)
	}
	return l, true
}

// Len is the number of rows.
func (l *Rows) Len() int { return len(l.items) }

// Replace replaces a row.
func (l *Rows) Replace(i int, key, value string) { l.items[i] = l.fresh(i, key, value) }

// Move moves a row to an earlier index. The rows' texts change, and the layout and the
// comments stay where they are.
func (l *Rows) Move(from, to int) {
	row := l.items[from].value
	for i := from; i > to; i-- {
		l.items[i].value = l.items[i-1].value
	}
	l.items[to].value = row
}

// fresh returns a new row with the layout of another one.
func (l *Rows) fresh(i int, key, value string) item {
	it := item{value: literalTokens(RowText(key, value))}
	if i < len(l.items) {
		it.before, it.after = l.items[i].before, l.items[i].after
		it.value[0].SpacesBefore = l.items[i].value[0].SpacesBefore
	}
	return it
}

// Insert adds a row at an index.
func (l *Rows) Insert(i int, key, value string) {
	it := item{value: literalTokens(RowText(key, value))}
	comma := &hclwrite.Token{Type: hclsyntax.TokenComma, Bytes: []byte(",")}
	switch {
	case len(l.items) == 0:
		it.value[0].SpacesBefore = 0
	case i < len(l.items): // before another one: on a line of its own if that one is
		it.value[0].SpacesBefore = l.items[i].value[0].SpacesBefore
		it.before, l.items[i].before = l.items[i].before, nil
		it.after = hclwrite.Tokens{comma}
		if endsLine(l.items[i].after) || i > 0 && endsLine(l.items[i-1].after) || endsLine(it.before) {
			it.after = append(it.after, newline())
		} else {
			l.items[i].value[0].SpacesBefore = 1
		}
	default: // at the end
		last := &l.items[len(l.items)-1]
		it.value[0].SpacesBefore = max(1, last.value[0].SpacesBefore)
		if !hasComma(last.after) {
			last.after = append(hclwrite.Tokens{comma}, last.after...)
		} else if endsLine(last.after) {
			it.after = hclwrite.Tokens{comma}
		}
		if endsLine(last.after) {
			it.after = append(it.after, newline())
		}
	}
	l.items = append(l.items[:i:i], append([]item{it}, l.items[i:]...)...)
}

// Remove removes a row. The first one leaves its indentation to the next.
func (l *Rows) Remove(i int) {
	if i == 0 && len(l.items) > 1 && !endsLine(l.items[0].after) {
		l.items[1].value[0].SpacesBefore = l.items[0].value[0].SpacesBefore
	}
	l.items = append(l.items[:i:i], l.items[i+1:]...)
}

func newline() *hclwrite.Token {
	return &hclwrite.Token{Type: hclsyntax.TokenNewline, Bytes: []byte("\n")}
}

func hasComma(tokens hclwrite.Tokens) bool {
	for _, t := range tokens {
		if t.Type == hclsyntax.TokenComma {
			return true
		}
	}
	return false
}

// endsLine reports whether the tokens end with the end of a line.
func endsLine(tokens hclwrite.Tokens) bool {
	return len(tokens) > 0 && bytes.HasSuffix(tokens[len(tokens)-1].Bytes, []byte("\n"))
}

// tokens joins the rows again. A row that is followed by another one has a comma.
func (l *Rows) tokens() hclwrite.Tokens {
	out := append(hclwrite.Tokens{}, l.open...)
	for i, it := range l.items {
		out = append(append(out, it.before...), it.value...)
		if i < len(l.items)-1 && !hasComma(it.after) {
			out = append(out, &hclwrite.Token{Type: hclsyntax.TokenComma, Bytes: []byte(",")})
		}
		out = append(out, it.after...)
	}
	return append(out, l.close...)
}
