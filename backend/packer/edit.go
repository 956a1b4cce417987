package packer

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"ingot/backend/packer/command"
	"ingot/backend/packer/rewrite"
)

// editor makes edits of a source.
type editor struct {
	s *command.Settings
	c command.Command
}

// edit changes the block of a source. It returns false where it cannot.
type edit func(body *hclwrite.Body) bool

// set sets an argument to a text. There is no edit where the argument's value is made of
// variables or locals, or where what is wrong stands in qemuargs.
func (j *editor) set(a command.Arg, name, value string) []edit {
	return j.setRaw(a, name, strconv.Quote(value))
}

func (j *editor) setNumber(a command.Arg, name string, value int) []edit {
	return j.setRaw(a, name, strconv.Itoa(value))
}

// setRaw is set for a literal of any type.
func (j *editor) setRaw(a command.Arg, name, literal string) []edit {
	if !a.Default || !j.changeable(name) {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		rewrite.SetAttribute(body, name, literal)
		return true
	}}
}

// unset removes an argument.
func (j *editor) unset(a command.Arg, name string) []edit {
	if _, there := j.s.Source.Args[name]; !there || !a.Default || !j.changeable(name) {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool { return body.RemoveAttribute(name) != nil }}
}

// changeable reports whether an argument of the source may be written: it is not there,
// or it is a literal in the source's own block.
func (j *editor) changeable(name string) bool {
	arg, ok := j.s.Source.Args[name]
	return !ok || len(arg.Expr.Variables()) == 0 && arg.Name.Filename == j.s.Source.Body.Filename && j.s.Source.Body.ContainsPos(arg.Name.Start)
}

// rowsOf returns the literal list of qemuargs; ok is false where it is made otherwise.
func (j *editor) rowsOf() (list *hclsyntax.TupleConsExpr, ok bool) {
	arg, there := j.s.Source.Args["qemuargs"]
	if !there || !j.s.Source.Body.ContainsPos(arg.Name.Start) || arg.Name.Filename != j.s.Source.Body.Filename {
		return nil, false
	}
	list, ok = arg.Expr.(*hclsyntax.TupleConsExpr)
	return list, ok
}

// rowAt returns the index in qemuargs of the row of an argument, or -1.
func (j *editor) rowAt(a command.Arg) int {
	list, ok := j.rowsOf()
	if !ok || a.Default {
		return -1
	}
	return slices.IndexFunc(list.Exprs, func(e hclsyntax.Expression) bool { return e.Range() == a.At })
}

// addRow adds a row to qemuargs, which is made where it is not there.
func (j *editor) addRow(key, value string) []edit {
	if _, there := j.s.Source.Args["qemuargs"]; !there {
		return []edit{func(body *hclwrite.Body) bool {
			if body.GetAttribute("qemuargs") != nil {
				return rewrite.EditRows(body, func(l *rewrite.Rows) { l.Insert(l.Len(), key, value) })
			}
			rewrite.SetAttribute(body, "qemuargs", "["+rewrite.RowText(key, value)+"]")
			return true
		}}
	}
	if _, ok := j.rowsOf(); !ok {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return rewrite.EditRows(body, func(l *rewrite.Rows) { l.Insert(l.Len(), key, value) })
	}}
}

// replaceRow replaces the row of an argument.
func (j *editor) replaceRow(a command.Arg, key, value string) []edit {
	i := j.rowAt(a)
	if i < 0 || !literalRow(j, i) {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return rewrite.EditRows(body, func(l *rewrite.Rows) { l.Replace(i, key, value) })
	}}
}

// literalRow reports whether a row of qemuargs names no variables.
func literalRow(j *editor, i int) bool {
	list, ok := j.rowsOf()
	return ok && len(list.Exprs[i].Variables()) == 0
}

// setCPU changes -cpu, wherever it comes from.
func (j *editor) setCPU(a command.Arg, cpu string) []edit {
	if a.Default {
		return j.set(a, "cpu_model", cpu)
	}
	return j.replaceRow(a, "-cpu", cpu)
}

// removeRows removes all rows of a key.
func (j *editor) removeRows(key string) []edit {
	var at []int
	for _, a := range j.c.All(key) {
		i := j.rowAt(a)
		if i < 0 {
			return nil
		}
		at = append(at, i)
	}
	slices.Sort(at)
	return []edit{func(body *hclwrite.Body) bool {
		return rewrite.EditRows(body, func(l *rewrite.Rows) {
			for _, i := range slices.Backward(at) {
				l.Remove(i)
			}
		})
	}}
}

// insertBefore adds a row before that of an argument.
func (j *editor) insertBefore(a command.Arg, key, value string) []edit {
	i := j.rowAt(a)
	if i < 0 {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return rewrite.EditRows(body, func(l *rewrite.Rows) { l.Insert(i, key, value) })
	}}
}

// moveBefore moves the row of an argument before that of another one.
func (j *editor) moveBefore(a, before command.Arg) []edit {
	from, to := j.rowAt(a), j.rowAt(before)
	if from < 0 || to < 0 || from < to {
		return nil
	}
	return []edit{func(body *hclwrite.Body) bool {
		return rewrite.EditRows(body, func(l *rewrite.Rows) {
			l.Move(from, to)
		})
	}}
}

// restore writes what qemuargs took away. A drive becomes a -blockdev with a device of its
// own, which leaves the builder's drives alone; devices are written again.
func (j *editor) restore(key string) []edit {
	if key == "-device" {
		var out []edit
		for _, a := range j.c.Replaced {
			if a.Key == "-device" && a.Known() && !strings.Contains(a.Value, "netdev=") {
				out = append(out, j.addRow(a.Key, a.Value)...)
			}
		}
		return out
	}
	scsi := slices.ContainsFunc(slices.Concat(j.c.Args, j.c.Replaced), func(a command.Arg) bool {
		return a.Key == "-device" && a.Default && strings.HasPrefix(a.Value, "scsi-")
	})
	var out []edit
	for n, a := range j.c.All("-drive") {
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
