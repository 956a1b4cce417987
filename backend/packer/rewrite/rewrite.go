// Package rewrite changes arguments of a block of HCL by its tokens, so that comments and
// layout stay.
package rewrite

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// SetAttribute sets an argument of a block to a literal: in its line, or in a new one at
// the block's end.
func SetAttribute(body *hclwrite.Body, name, literal string) {
	tokens := literalTokens(literal)
	if body.GetAttribute(name) != nil {
		body.SetAttributeRaw(name, tokens)
		return
	}
	appendAttribute(body, name, tokens)
}

// literalTokens returns the tokens of a literal.
func literalTokens(literal string) hclwrite.Tokens {
	tokens, _ := hclsyntax.LexExpression([]byte(literal), "", hcl.InitialPos)
	var out hclwrite.Tokens
	end := 0 // of the token before, in bytes
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenEOF {
			out = append(out, &hclwrite.Token{Type: t.Type, Bytes: t.Bytes, SpacesBefore: t.Range.Start.Byte - end})
		}
		end = t.Range.End.Byte
	}
	if len(out) > 0 {
		out[0].SpacesBefore = 1
	}
	return out
}

// appendAttribute adds an attribute as a line of its own at the end of a block, indented
// and with its equals sign where most others have theirs.
func appendAttribute(body *hclwrite.Body, name string, value hclwrite.Tokens) {
	indent, column := layoutOf(body)
	line := hclwrite.Tokens{
		{Type: hclsyntax.TokenIdent, Bytes: []byte(name), SpacesBefore: indent},
		{Type: hclsyntax.TokenEqual, Bytes: []byte("="), SpacesBefore: max(1, column-len(name))},
	}
	value[0].SpacesBefore = 1
	line = append(line, value...)
	body.AppendUnstructuredTokens(append(line, &hclwrite.Token{Type: hclsyntax.TokenNewline, Bytes: []byte("\n")}))
}

// layoutOf returns the indentation of a block's attributes, and how far behind it the
// equals sign of most of them stands, in characters.
func layoutOf(body *hclwrite.Body) (indent, column int) {
	indents, columns := map[int]int{}, map[int]int{}
	for _, a := range body.Attributes() {
		var tokens hclwrite.Tokens
		for _, t := range a.BuildTokens(nil) {
			if t.Type == hclsyntax.TokenComment || t.Type == hclsyntax.TokenNewline && len(tokens) == 0 {
				continue
			}
			if tokens = append(tokens, t); t.Type == hclsyntax.TokenEqual {
				break
			}
		}
		if len(tokens) >= 2 {
			indents[tokens[0].SpacesBefore]++
			columns[len(tokens[0].Bytes)+tokens[1].SpacesBefore]++
		}
	}
	return mostOf(indents, 2), mostOf(columns, 0)
}

// mostOf returns the number that was counted most often, the largest of several; or the
// default.
func mostOf(counts map[int]int, or int) int {
	best := or
	for n, c := range counts {
		if c > counts[best] || c == counts[best] && n > best {
			best = n
		}
	}
	return best
}
