package packer

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// edit changes the block of a source. It returns false where it cannot.
type edit func(body *hclwrite.Body) bool

// set sets an argument to a text. There is no edit where the argument's value is made of
// variables or locals, or where what is wrong stands in qemuargs.
func (j *judgement) set(a Arg, name, value string) []edit {
	return j.setRaw(a, name, strconv.Quote(value))
}

func (j *judgement) setNumber(a Arg, name string, value int) []edit {
	return j.setRaw(a, name, strconv.Itoa(value))
}

// setRaw is set for a literal of any type.
func (j *judgement) setRaw(a Arg, name, literal string) []edit {
	if !a.Default || !j.changeable(name) {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		tokens := literalTokens(literal)
		if body.GetAttribute(name) != nil {
			body.SetAttributeRaw(name, tokens)
			return true
		}
		appendAttribute(body, name, tokens)
		return true
	}}
}

// unset removes an argument.
func (j *judgement) unset(a Arg, name string) []edit {
	if _, there := j.s.source.Args[name]; !there || !a.Default || !j.changeable(name) {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool { return body.RemoveAttribute(name) != nil }}
}

// changeable reports whether an argument of the source may be written: it is not there,
// or it is a literal in the source's own block.
func (j *judgement) changeable(name string) bool {
	arg, ok := j.s.source.Args[name]
	return !ok || len(arg.Expr.Variables()) == 0 && arg.Name.Filename == j.s.source.Body.Filename && j.s.source.Body.ContainsPos(arg.Name.Start)
}

// literalTokens returns the tokens of a literal.
func literalTokens(literal string) hclwrite.Tokens {
	tokens, _ := hclsyntax.LexExpression([]byte(literal), "", hclInitial)
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

// rowsOf returns the literal list of qemuargs; ok is false where it is made otherwise.
func (j *judgement) rowsOf() (list *hclsyntax.TupleConsExpr, ok bool) {
	arg, there := j.s.source.Args["qemuargs"]
	if !there || !j.s.source.Body.ContainsPos(arg.Name.Start) || arg.Name.Filename != j.s.source.Body.Filename {
		return nil, false
	}
	list, ok = arg.Expr.(*hclsyntax.TupleConsExpr)
	return list, ok
}

// rowAt returns the index in qemuargs of the row of an argument, or -1.
func (j *judgement) rowAt(a Arg) int {
	list, ok := j.rowsOf()
	if !ok || a.Default {
		return -1
	}
	return slices.IndexFunc(list.Exprs, func(e hclsyntax.Expression) bool { return e.Range() == a.At })
}

// addRow adds a row to qemuargs, which is made where it is not there.
func (j *judgement) addRow(key, value string) []edit {
	if _, there := j.s.source.Args["qemuargs"]; !there {
		return []edit{func(body *hclwrite.Body) bool {
			if body.GetAttribute("qemuargs") != nil {
				return editRows(body, func(l *rows) { l.insert(len(l.items), key, value) })
			}
			appendAttribute(body, "qemuargs", literalTokens("["+rowText(key, value)+"]"))
			return true
		}}
	}
	if _, ok := j.rowsOf(); !ok {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return editRows(body, func(l *rows) { l.insert(len(l.items), key, value) })
	}}
}

// replaceRow replaces the row of an argument.
func (j *judgement) replaceRow(a Arg, key, value string) []edit {
	i := j.rowAt(a)
	if i < 0 || !literalRow(j, i) {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return editRows(body, func(l *rows) { l.items[i] = l.fresh(i, key, value) })
	}}
}

// literalRow reports whether a row of qemuargs names no variables.
func literalRow(j *judgement, i int) bool {
	list, ok := j.rowsOf()
	return ok && len(list.Exprs[i].Variables()) == 0
}

// setCPU changes -cpu, wherever it comes from.
func (j *judgement) setCPU(a Arg, cpu string) []edit {
	if a.Default {
		return j.set(a, "cpu_model", cpu)
	}
	return j.replaceRow(a, "-cpu", cpu)
}

// removeRows removes all rows of a key.
func (j *judgement) removeRows(key string) []edit {
	var at []int
	for _, a := range j.c.all(key) {
		i := j.rowAt(a)
		if i < 0 {
			return nil
		}
		at = append(at, i)
	}
	slices.Sort(at)
	return []edit{func(body *hclwrite.Body) bool {
		return editRows(body, func(l *rows) {
			for _, i := range slices.Backward(at) {
				l.remove(i)
			}
		})
	}}
}

// insertBefore adds a row before that of an argument.
func (j *judgement) insertBefore(a Arg, key, value string) []edit {
	i := j.rowAt(a)
	if i < 0 {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return editRows(body, func(l *rows) { l.insert(i, key, value) })
	}}
}

// moveBefore moves the row of an argument before that of another one.
func (j *judgement) moveBefore(a, before Arg) []edit {
	from, to := j.rowAt(a), j.rowAt(before)
	if from < 0 || to < 0 || from < to {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return editRows(body, func(l *rows) {
			// the texts change their rows, so that the layout stays where it is
			row := l.items[from].value
			for i := from; i > to; i-- {
				l.items[i].value = l.items[i-1].value
			}
			l.items[to].value = row
		})
	}}
}

// restore writes what qemuargs took away. A drive becomes a -blockdev with a device of its
// own, which leaves the builder's drives alone; devices are written again.
func (j *judgement) restore(key string) []edit {
	if key == "-device" {
		var out []edit
		for _, a := range j.c.Replaced {
			if a.Key == "-device" && a.known() && !strings.Contains(a.Value, "netdev=") {
				out = append(out, j.addRow(a.Key, a.Value)...)
			}
		}
		return out
	}
	scsi := slices.ContainsFunc(slices.Concat(j.c.Args, j.c.Replaced), func(a Arg) bool { return a.Key == "-device" && a.Default && strings.HasPrefix(a.Value, "scsi-") })
	var out []edit
	for n, a := range j.c.all("-drive") {
		node, device, ok := blockdev(a.Value, "extra"+strconv.Itoa(n))
		if !ok || scsi || j.rowAt(a) < 0 {
			return nil
		}
		out = append(out, j.replaceRow(a, "-blockdev", node)...)
		out = append(out, j.addRow("-device", device)...)
	}
	return out
}

// blockdev writes a simple value of -drive as values of -blockdev and -device.
func blockdev(drive, name string) (node, device string, ok bool) {
	values := map[string]string{"format": "raw"}
	for _, part := range splitOptions(drive) {
		key, value, _ := strings.Cut(part, "=")
		if !slices.Contains([]string{"file", "format", "if", "readonly", "media"}, key) {
			return "", "", false
		}
		values[key] = value
	}
	if bus := values["if"]; values["file"] == "" || bus != "" && bus != "virtio" && bus != "none" {
		return "", "", false
	}
	node = "driver=" + values["format"] + ",node-name=" + name
	if values["readonly"] == "on" || values["media"] == "cdrom" {
		node += ",read-only=on"
	}
	return node + ",file.driver=file,file.filename=" + strings.ReplaceAll(values["file"], ",", ",,"), "virtio-blk-pci,drive=" + name, true
}
