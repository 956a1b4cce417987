package command

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

// Settings are the arguments of a source, with the builder's defaults.
type Settings struct {
	Source  template.Source
	Header  hcl.Range // of the source's block
	Builder Builder

	kvm platform.Answer // whether the builder finds /dev/kvm
}

// New returns the settings of a source for a builder. kvm is whether the builder finds
// /dev/kvm, by which it chooses an accelerator.
func New(s template.Source, b Builder, kvm platform.Answer) *Settings {
	return &Settings{Source: s, Header: s.Range, Builder: b, kvm: kvm}
}

// Field is the value of an argument as text.
type Field struct {
	Name    string
	Text    string
	Depends []string // what it waits for; not empty: Text is not known
	Set     bool     // the template sets it
	At      hcl.Range
}

// Known reports whether the value is known.
func (f Field) Known() bool { return len(f.Depends) == 0 }

// Text returns an argument, or the default where the template does not set it.
func (s *Settings) Text(name, or string) Field {
	arg, ok := s.Source.Args[name]
	if !ok {
		return Field{Name: name, Text: or, At: s.Header}
	}
	f := Field{Name: name, At: arg.Expr.Range(), Set: true}
	switch v := arg.Value; {
	case len(arg.Depends) > 0:
		f.Depends = arg.Depends
	case v.IsNull():
		return Field{Name: name, Text: or, At: s.Header}
	default:
		str, err := convert.Convert(v, cty.String)
		if err != nil {
			f.Depends = []string{name + ", which is no text"}
			return f
		}
		f.Text = str.AsString()
	}
	if name != "boot_command" && f.Known() {
		f.Text, f.Depends = s.render(f.Text, nil)
	}
	if f.Text == "" && f.Known() {
		return Field{Name: name, Text: or, At: s.Header} // the builder takes an empty text for none
	}
	return f
}

// IsTrue returns an argument of type bool; known is false where it waits for something.
func (s *Settings) IsTrue(name string) (value, known bool) {
	f := s.Text(name, "false")
	return f.Text == "true" && f.Known(), f.Known()
}

// List returns the texts of an argument that is a list; known is false where one of them
// waits for something.
func (s *Settings) List(name string) (texts []string, known bool) {
	arg, ok := s.Source.Args[name]
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

// Given reports whether the template sets an argument to more than null and nothing.
func (s *Settings) Given(name string) bool {
	arg, ok := s.Source.Args[name]
	if !ok || len(arg.Depends) == 0 && arg.Value.IsNull() {
		return false
	}
	if v := arg.Value; v.IsWhollyKnown() && v.CanIterateElements() {
		return v.LengthInt() > 0
	}
	return true
}

// VMName is the name of the machine and its disk.
func (s *Settings) VMName() Field {
	name := s.Source.Build
	if name == "" {
		name = s.Source.Name
	}
	return s.Text("vm_name", "packer-"+name)
}

// Output is the folder that the builder makes for the machine.
func (s *Settings) Output() Field {
	name := s.Source.Build
	if name == "" {
		name = s.Source.Name
	}
	f := s.Text("output_directory", "output-"+name)
	if f.Known() {
		f.Text = path.Clean(f.Text)
	}
	return f
}

// Communicator is how Packer logs in: ssh, winrm or none.
func (s *Settings) Communicator() string {
	if f := s.Text("communicator", "ssh"); f.Known() {
		return f.Text
	}
	return "ssh"
}

// HostPort is the port of this computer that is forwarded to the guest: the builder
// takes a free one of the range, and here it is the range's first.
func (s *Settings) HostPort() Field {
	for _, name := range []string{"ssh_host_port_min", "host_port_min"} {
		if f := s.Text(name, ""); f.Set {
			return f
		}
	}
	return Field{Name: "host_port_min", Text: "2222", At: s.Header}
}

// accelerator is the one of the template, or the one that the builder chooses: kvm where
// /dev/kvm can be opened, else tcg.
func (s *Settings) accelerator() Field {
	f := s.Text("accelerator", "tcg")
	if f.Set {
		return f
	}
	switch s.kvm {
	case platform.Yes:
		f.Text = "kvm"
	case platform.NotKnown:
		f.Depends = []string{"whether /dev/kvm can be opened"}
	}
	return f
}

// EFI reports whether the plugin boots by UEFI of two flash chips.
func (s *Settings) EFI() (on, known bool) {
	if s.Builder == InTree {
		return false, true
	}
	code, vars := s.Text("efi_firmware_code", ""), s.Text("efi_firmware_vars", "")
	on, known = s.IsTrue("efi_boot")
	switch {
	case code.Set && code.Known(), vars.Set && vars.Known():
		return true, true
	case !code.Known() || !vars.Known():
		return false, false
	}
	return on, known
}

func (s *Settings) qmp() bool {
	for _, name := range []string{"qmp_enable", "vnc_use_password"} {
		if yes, _ := s.IsTrue(name); yes {
			return true
		}
	}
	return s.Text("net_bridge", "").Set
}

// smp is the value of -smp; ok is false where the builder adds none.
func (s *Settings) smp() (f Field, ok bool) {
	number := func(name string) (int, Field) {
		f := s.Text(name, "0")
		n, _ := strconv.Atoi(f.Text)
		return max(0, n), f
	}
	cpus, f := number("cpus")
	if s.Builder == InTree {
		f.Text = "cpus=" + strconv.Itoa(cpus) + ",sockets=" + strconv.Itoa(cpus)
		return f, cpus > 1 || !f.Known()
	}
	product, parts := 0, ""
	for _, p := range [][2]string{{"sockets", "sockets"}, {"cores", "cores"}, {"threads", "threads"}} {
		n, in := number(p[0])
		f.Depends = append(f.Depends, in.Depends...)
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
	f.Text = strconv.Itoa(cpus) + parts
	return f, true
}

// disks are the sizes of the machine's disks; the first is the one that is built.
func (s *Settings) disks() []string {
	extra, _ := s.List("disk_additional_size")
	return append([]string{""}, extra...)
}

// Disk is the path of a disk.
func (s *Settings) Disk(i int) Field {
	out, name := s.Output(), s.VMName()
	f := Field{Depends: slices.Concat(out.Depends, name.Depends), At: s.Header}
	f.Text = path.Join(out.Text, name.Text)
	if i > 0 {
		f.Text += "-" + strconv.Itoa(i)
	}
	return f
}

// iso is the path of the installer's medium. The builder downloads into a cache: the
// real path is known only to it, and here it is the last part of the address.
func (s *Settings) iso() Field {
	for _, name := range []string{"iso_target_path", "iso_url"} {
		if f := s.Text(name, ""); f.Set {
			return f
		}
	}
	if urls, _ := s.List("iso_urls"); len(urls) > 0 {
		return Field{Name: "iso_urls", Text: urls[0], At: s.Header}
	}
	return Field{Name: "iso_url", Text: "ISO", At: s.Header}
}

// ISONames are all texts by which the template names the medium.
func (s *Settings) ISONames() (names []string) {
	for _, name := range []string{"iso_target_path", "iso_url"} {
		if f := s.Text(name, ""); f.Set && f.Known() {
			names = append(names, f.Text)
		}
	}
	urls, _ := s.List("iso_urls")
	return append(names, urls...)
}

// qemuargs returns the arguments of the template's qemuargs. open is what the whole list
// waits for.
func (s *Settings) qemuargs() (args []Arg, open []string) {
	arg, ok := s.Source.Args["qemuargs"]
	if !ok || arg.Value.IsKnown() && arg.Value.IsNull() {
		return nil, nil
	}
	if !arg.Value.IsKnown() || !arg.Value.CanIterateElements() {
		return nil, depending(arg.Depends, "qemuargs")
	}
	data := map[string]string{
		"Name": s.VMName().Text, "OutputDir": s.Output().Text, "SSHHostPort": s.HostPort().Text,
		"HTTPIP": "10.0.2.2", "HTTPPort": s.Text("http_port_min", "8000").Text, "HTTPDir": s.Text("http_directory", "").Text,
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
		if !a.Known() {
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
func (s *Settings) row(row cty.Value, data map[string]string) (Arg, bool) {
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
	if !a.Known() {
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
func (s *Settings) render(in string, data map[string]string) (out string, depends []string) {
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
func (s *Settings) action(n parse.Node, data map[string]string) (string, bool) {
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
				value = s.Source.Build
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
