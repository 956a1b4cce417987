package packer

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"ingot/backend/packer/platform"
	"ingot/backend/packer/template"
)

// settings are the arguments of a source, with the builder's defaults.
type settings struct {
	source  template.Source
	header  hcl.Range
	builder Builder
	kvm     platform.Answer // whether the builder finds /dev/kvm
}

func newSettings(s template.Source, b Builder, kvm platform.Answer) *settings {
	return &settings{source: s, header: s.Range, builder: b, kvm: kvm}
}

// field is the value of an argument as text.
type field struct {
	name    string
	text    string
	depends []string // what it waits for; not empty: text is not known
	set     bool     // the template sets it
	at      hcl.Range
}

func (f field) known() bool { return len(f.depends) == 0 }

// text returns an argument, or the default where the template does not set it.
func (s *settings) text(name, or string) field {
	arg, ok := s.source.Args[name]
	if !ok {
		return field{name: name, text: or, at: s.header}
	}
	f := field{name: name, at: arg.Expr.Range(), set: true}
	switch v := arg.Value; {
	case len(arg.Depends) > 0:
		f.depends = arg.Depends
	case v.IsNull():
		return field{name: name, text: or, at: s.header}
	default:
		str, err := convert.Convert(v, cty.String)
		if err != nil {
			f.depends = []string{name + ", which is no text"}
			return f
		}
		f.text = str.AsString()
	}
	if name != "boot_command" && f.known() {
		f.text, f.depends = s.render(f.text, nil)
	}
	if f.text == "" && f.known() {
		return field{name: name, text: or, at: s.header} // the builder takes an empty text for none
	}
	return f
}

// isTrue returns an argument of type bool; known is false where it waits for something.
func (s *settings) isTrue(name string) (value, known bool) {
	f := s.text(name, "false")
	return f.text == "true" && f.known(), f.known()
}

// list returns the texts of an argument that is a list; known is false where one of them
// waits for something.
func (s *settings) list(name string) (texts []string, known bool) {
	arg, ok := s.source.Args[name]
	if !ok {
		return nil, true
	}
	if len(arg.Depends) > 0 {
		return nil, false
	}
	if arg.Value.IsNull() || !arg.Value.CanIterateElements() {
		return nil, true
	}
	for _, v := range arg.Value.AsValueSlice() {
		if t, err := convert.Convert(v, cty.String); err == nil && !t.IsNull() {
			texts = append(texts, t.AsString())
		}
	}
	return texts, true
}

// given reports whether the template sets an argument to more than null and nothing.
func (s *settings) given(name string) bool {
	arg, ok := s.source.Args[name]
	if !ok || len(arg.Depends) == 0 && arg.Value.IsNull() {
		return false
	}
	if v := arg.Value; v.IsWhollyKnown() && v.CanIterateElements() {
		return v.LengthInt() > 0
	}
	return true
}

func (s *settings) vmName() field {
	name := s.source.Build
	if name == "" {
		name = s.source.Name
	}
	return s.text("vm_name", "packer-"+name)
}

func (s *settings) output() field {
	name := s.source.Build
	if name == "" {
		name = s.source.Name
	}
	f := s.text("output_directory", "output-"+name)
	if f.known() {
		f.text = path.Clean(f.text)
	}
	return f
}

func (s *settings) communicator() string {
	if f := s.text("communicator", "ssh"); f.known() {
		return f.text
	}
	return "ssh"
}

// hostPort is the port of this computer that is forwarded to the guest: the builder
// takes a free one of the range, and here it is the range's first.
func (s *settings) hostPort() field {
	for _, name := range []string{"ssh_host_port_min", "host_port_min"} {
		if f := s.text(name, ""); f.set {
			return f
		}
	}
	return field{name: "host_port_min", text: "2222", at: s.header}
}

// accelerator is the one of the template, or the one that the builder chooses: kvm where
// /dev/kvm can be opened, else tcg.
func (s *settings) accelerator() field {
	f := s.text("accelerator", "tcg")
	if f.set {
		return f
	}
	switch s.kvm {
	case platform.Yes:
		f.text = "kvm"
	case platform.NotKnown:
		f.depends = []string{"whether /dev/kvm can be opened"}
	}
	return f
}

// efi reports whether the plugin boots by UEFI of two flash chips.
func (s *settings) efi() (on, known bool) {
	if s.builder == InTree {
		return false, true
	}
	code, vars := s.text("efi_firmware_code", ""), s.text("efi_firmware_vars", "")
	on, known = s.isTrue("efi_boot")
	switch {
	case code.set && code.known(), vars.set && vars.known():
		return true, true
	case !code.known() || !vars.known():
		return false, false
	}
	return on, known
}

func (s *settings) qmp() bool {
	for _, name := range []string{"qmp_enable", "vnc_use_password"} {
		if yes, _ := s.isTrue(name); yes {
			return true
		}
	}
	return s.text("net_bridge", "").set
}

// smp is the value of -smp; ok is false where the builder adds none.
func (s *settings) smp() (f field, ok bool) {
	number := func(name string) (int, field) {
		f := s.text(name, "0")
		n, _ := strconv.Atoi(f.text)
		return max(0, n), f
	}
	cpus, f := number("cpus")
	if s.builder == InTree {
		f.text = "cpus=" + strconv.Itoa(cpus) + ",sockets=" + strconv.Itoa(cpus)
		return f, cpus > 1 || !f.known()
	}
	product, parts := 0, ""
	for _, p := range [][2]string{{"sockets", "sockets"}, {"cores", "cores"}, {"threads", "threads"}} {
		n, in := number(p[0])
		f.depends = append(f.depends, in.depends...)
		if n == 0 {
			continue
		}
		product = max(1, product) * n
		parts += "," + p[1] + "=" + strconv.Itoa(n)
	}
	switch {
	case cpus == 0:
		cpus = max(1, product)
	case product > 0:
		cpus = min(cpus, product)
	}
	f.text = strconv.Itoa(cpus) + parts
	return f, true
}

// disks are the sizes of the machine's disks; the first is the one that is built.
func (s *settings) disks() []string {
	extra, _ := s.list("disk_additional_size")
	return append([]string{""}, extra...)
}

// disk is the path of a disk.
func (s *settings) disk(i int) field {
	out, name := s.output(), s.vmName()
	f := field{depends: slices.Concat(out.depends, name.depends), at: s.header}
	f.text = path.Join(out.text, name.text)
	if i > 0 {
		f.text += "-" + strconv.Itoa(i)
	}
	return f
}

// iso is the path of the installer's medium. The builder downloads into a cache: the
// real path is known only to it, and here it is the last part of the address.
func (s *settings) iso() field {
	for _, name := range []string{"iso_target_path", "iso_url"} {
		if f := s.text(name, ""); f.set {
			return f
		}
	}
	if urls, _ := s.list("iso_urls"); len(urls) > 0 {
		return field{name: "iso_urls", text: urls[0], at: s.header}
	}
	return field{name: "iso_url", text: "ISO", at: s.header}
}

// isoNames are all texts by which the template names the medium.
func (s *settings) isoNames() (names []string) {
	for _, name := range []string{"iso_target_path", "iso_url"} {
		if f := s.text(name, ""); f.set && f.known() {
			names = append(names, f.text)
		}
	}
	urls, _ := s.list("iso_urls")
	return append(names, urls...)
}

// qemuargs returns the arguments of the template's qemuargs. open is what the whole list
// waits for.
func (s *settings) qemuargs() (args []Arg, open []string) {
	arg, ok := s.source.Args["qemuargs"]
	if !ok || arg.Value.IsKnown() && arg.Value.IsNull() {
		return nil, nil
	}
	if !arg.Value.IsKnown() || !arg.Value.CanIterateElements() {
		return nil, depending(arg.Depends, "qemuargs")
	}
	data := map[string]string{
		"Name": s.vmName().text, "OutputDir": s.output().text, "SSHHostPort": s.hostPort().text,
		"HTTPIP": "10.0.2.2", "HTTPPort": s.text("http_port_min", "8000").text, "HTTPDir": s.text("http_directory", "").text,
	}
	for i, row := range arg.Value.AsValueSlice() {
		if !row.IsKnown() {
			open = append(open, depending(arg.Depends, "qemuargs")...)
			continue
		}
		a, ok := s.row(row, data)
		if !ok {
			open = append(open, depending(arg.Depends, "qemuargs")...)
			continue
		}
		a.At = elementRange(arg.Expr, i)
		if !a.known() {
			a.Depends = depending(arg.Depends, a.Depends[0])
		}
		args = append(args, a)
	}
	return args, open
}

func depending(depends []string, or string) []string {
	if len(depends) > 0 {
		return depends
	}
	return []string{or}
}

// row reads one element of qemuargs: the key, and parts of the value that are joined.
func (s *settings) row(row cty.Value, data map[string]string) (Arg, bool) {
	if row.IsNull() || !row.CanIterateElements() || row.LengthInt() == 0 {
		return Arg{}, false
	}
	a := Arg{Argument: "qemuargs"}
	for i, v := range row.AsValueSlice() {
		str, err := convert.Convert(v, cty.String)
		switch {
		case err != nil || !str.IsKnown():
			if i == 0 {
				return Arg{}, false
			}
			a.Depends = []string{"qemuargs"}
			continue
		case str.IsNull():
			continue
		}
		out, depends := s.render(str.AsString(), data)
		a.Depends = append(a.Depends, depends...)
		if i == 0 {
			a.Key = out
		} else {
			a.Value += out
		}
	}
	if !a.known() {
		a.Value = ""
	}
	return a, a.Key != ""
}

// elementRange is where an element of a list stands, or the list.
func elementRange(expr hclsyntax.Expression, i int) hcl.Range {
	if p, ok := expr.(*hclsyntax.ParenthesesExpr); ok {
		return elementRange(p.Expression, i)
	}
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok && i < len(list.Exprs) {
		return list.Exprs[i].Range()
	}
	return expr.Range()
}

// render replaces the builder's templates in a text: {{ .Name }} by data, and the
// functions that depend on nothing but the text. A text with others is not known, and
// depends names them.
func (s *settings) render(in string, data map[string]string) (out string, depends []string) {
	if !strings.Contains(in, "{{") {
		return in, nil
	}
	trees, err := parse.Parse("", in, "{{", "}}", rendered)
	if err != nil || trees[""] == nil {
		return "", []string{in}
	}
	var b strings.Builder
	for _, n := range trees[""].Root.Nodes {
		if t, ok := n.(*parse.TextNode); ok {
			b.Write(t.Text)
			continue
		}
		value, ok := s.action(n, data)
		if !ok {
			return "", []string{n.String()}
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// rendered are the functions of the builder's templates that action evaluates.
var rendered = map[string]any{"build_name": "", "build_type": "", "lower": "", "upper": ""}

// action evaluates {{ .Name }}, {{ build_name }} and {{ build_type }}, piped or not
// through lower and upper.
func (s *settings) action(n parse.Node, data map[string]string) (string, bool) {
	a, ok := n.(*parse.ActionNode)
	if !ok || len(a.Pipe.Decl) > 0 {
		return "", false
	}
	value := ""
	for i, c := range a.Pipe.Cmds {
		if len(c.Args) != 1 {
			return "", false
		}
		switch arg := c.Args[0].(type) {
		case *parse.FieldNode:
			v, known := data[strings.Join(arg.Ident, ".")]
			if !known || i > 0 {
				return "", false
			}
			value = v
		case *parse.IdentifierNode:
			switch {
			case arg.Ident == "build_name":
				value = s.source.Build
			case arg.Ident == "build_type":
				value = "qemu"
			case arg.Ident == "lower" && i > 0:
				value = strings.ToLower(value)
			case arg.Ident == "upper" && i > 0:
				value = strings.ToUpper(value)
			default:
				return "", false
			}
		default:
			return "", false
		}
	}
	return value, true
}
