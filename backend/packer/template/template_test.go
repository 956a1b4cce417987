package template

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"ingot/backend/cause"
)

// folder writes files into a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, text string, opt Options) *Template {
	t.Helper()
	tpl, err := Load(folder(t, map[string]string{"t.pkr.hcl": text}), opt)
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

// text returns an argument as text, or what it depends on in brackets.
func valueText(t *testing.T, s Source, name string) string {
	t.Helper()
	a, ok := s.Args[name]
	switch {
	case !ok:
		return "<absent>"
	case len(a.Depends) > 0:
		return "[" + strings.Join(a.Depends, " ") + "]"
	case a.Value.IsNull():
		return "<null>"
	}
	if a.Value.CanIterateElements() {
		var parts []string
		for _, v := range a.Value.AsValueSlice() {
			s, err := convert.Convert(v, cty.String)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, s.AsString())
		}
		return strings.Join(parts, "|")
	}
	v, err := convert.Convert(a.Value, cty.String)
	if err != nil {
		t.Fatal(err)
	}
	return v.AsString()
}

const builds = "build { sources = [\"source.qemu.vm\"] }\n"

// Later values of a variable win: default, environment, auto files, files, values.
func TestVariables(t *testing.T) {
	dir := folder(t, map[string]string{
		"t.pkr.hcl": `
variable "a" { default = "default" }
variable "b" { default = "default" }
variable "c" { default = "default" }
variable "d" { default = "default" }
variable "e" { default = "default" }
variable "n" {
  type    = number
  default = "7"
}
variable "list" { type = list(list(string)) }
variable "o" { type = object({ name = string, size = optional(number, 3) }) }
variable "missing" { type = string }
variables { old = "style" }
source "qemu" "vm" {
  vm_name          = "${var.a}-${var.b}-${var.c}-${var.d}-${var.e}"
  memory           = var.n + 1
  boot_command     = var.list[0]
  output_directory = "${var.o.name}${var.o.size}-${var.old}"
  firmware         = "x/${var.missing}"
  headless         = var.missing == "" ? true : true
}
` + builds,
		"x.auto.pkrvars.hcl": `c = "auto"` + "\n" + `d = "auto"` + "\n" + `e = "auto"`,
		"y.pkrvars.hcl":      "d = \"file\"\ne = \"file\"\nlist = [[\"k\", \"v\"]]\nnot_declared = 1\n",
	})
	env := map[string]string{"PKR_VAR_b": "env", "PKR_VAR_c": "env"}
	tpl, err := Load(dir, Options{VarFiles: []string{filepath.Join(dir, "y.pkrvars.hcl")}, Vars: []string{"e=value=1", "o={name = \"n\"}"}, Env: func(s string) string { return env[s] }})
	if err != nil {
		t.Fatal(err)
	}
	s := tpl.Sources[0]
	for name, want := range map[string]string{"vm_name": "default-env-auto-file-value=1", "memory": "8", "boot_command": "k|v", "firmware": "[var.missing]", "nothing": "<absent>"} {
		if got := valueText(t, s, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if len(tpl.Problems) != 1 || !strings.Contains(tpl.Problems[0].Text, `"missing"`) || tpl.Problems[0].Refused {
		t.Errorf("problems: %v", tpl.Problems)
	}
	for _, vars := range [][]string{{"nothing"}, {"other=1"}} {
		if _, err := Load(dir, Options{Vars: vars}); err == nil {
			t.Errorf("%q was accepted", vars)
		}
	}
}

// Locals may name each other in any order, and in any file.
func TestLocals(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.pkr.hcl": "locals {\n  one = \"${local.two}1\"\n  unknown = \"${timestamp()}\"\n}\n" + builds,
		"b.pkr.hcl": "locals { two = local.three }\nlocal \"three\" { expression = \"3\" }\nsource \"qemu\" \"vm\" {\n  vm_name = local.one\n  firmware = local.unknown\n  display = try(data.host-info.this.os_type, \"none\")\n}\ndata \"host-info\" \"this\" {}\ndata \"http\" \"x\" { url = \"https://example.org\" }\n",
	})
	tpl, err := Load(dir, Options{OS: "darwin"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"vm_name": "31", "firmware": "[timestamp()]", "display": "darwin"} {
		if got := valueText(t, tpl.Sources[0], name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// What Packer refuses is said with its position, and the rest goes on.
func TestProblems(t *testing.T) {
	source := "source \"qemu\" \"vm\" {\n  vm_name = \"x\"\n  firmware = local.a\n}\n" + builds
	for name, c := range map[string]struct {
		text, want string
		refused    bool
		line       int
	}{
		"cycle":            {"locals {\n  a = local.b\n  b = local.a\n}\n", "depends on itself", true, 2},
		"own cycle":        {"locals { a = local.a }\n", "depends on itself", true, 1},
		"function":         {"locals {\n  a = nosuch(1)\n}\n", "nosuch", true, 2},
		"wrong argument":   {"locals {\n  a = substr(1)\n}\n", "argument", true, 2},
		"undeclared":       {"locals {\n  a = var.nothing\n}\n", "nothing", true, 2},
		"data source":      {"data \"amazon-ami\" \"x\" {}\nlocals { a = data.amazon-ami.x.id }\n", "amazon-ami.x is not asked", false, 1},
		"unknown block":    {"locals { a = \"\" }\nwhat {}\n", `"what"`, true, 2},
		"unknown source":   {"locals { a = \"\" }\nbuild { sources = [\"source.qemu.nothing\"] }\n", "qemu.nothing", true, 2},
		"other builder":    {"locals { a = \"\" }\nsource \"vmware-iso\" \"x\" {}\nbuild { sources = [\"vmware-iso.x\"] }\n", "vmware-iso", false, 3},
		"wrong type":       {"locals { a = \"\" }\nvariable \"v\" {\n  type = number\n  default = \"many\"\n}\n", `"v"`, true, 4},
		"growing":          {"locals {\n  a0 = \"" + strings.Repeat("x", 1000) + "\"\n  a1 = \"${join(\"\", [for i in range(500) : local.a0])}\"\n  a = local.a1\n}\n", "not evaluated", false, 3},
		"outside":          {"locals { a = \"\" }\nx = 1\n", "outside", true, 2},
		"labels":           {"locals { a = \"\" }\nsource \"qemu\" {}\n", "two labels", true, 2},
		"sources unknown":  {"variable \"s\" { type = list(string) }\nlocals { a = \"\" }\nbuild { sources = var.s }\n", "not known", false, 3},
		"variable, labels": {"locals { a = \"\" }\nvariable {}\n", "one label", true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			tpl := load(t, c.text+source, Options{})
			if len(tpl.Sources) == 0 || valueText(t, tpl.Sources[0], "vm_name") != "x" {
				t.Fatalf("the source was not read: %+v", tpl.Sources)
			}
			i := slices.IndexFunc(tpl.Problems, func(p Problem) bool { return strings.Contains(p.Text, c.want) })
			if i < 0 {
				t.Fatalf("%q is missing in %v", c.want, tpl.Problems)
			}
			if p := tpl.Problems[i]; p.Refused != c.refused || p.Line != c.line || !strings.HasSuffix(p.File, "t.pkr.hcl") {
				t.Errorf("%+v, want line %d, refused %v", p, c.line, c.refused)
			}
		})
	}
	if tpl := load(t, source, Options{}); len(tpl.Problems) != 1 { // local.a is not there
		t.Errorf("%v", tpl.Problems)
	}
	if tpl := load(t, "locals { a = \"\" }\n"+source, Options{}); len(tpl.Problems) != 0 {
		t.Errorf("a good template: %v", tpl.Problems)
	}
}

// A template that cannot be read is an error of class input with its position.
func TestErrors(t *testing.T) {
	dir := folder(t, map[string]string{
		"syntax.pkr.hcl": "source \"qemu\" \"vm\" {\n  memory = = 1\n}\n",
		"old.json":       "{}",
		"new.pkr.json":   "{}",
		"text.txt":       "",
		"big.pkr.hcl":    "# " + strings.Repeat("x", maxFile),
		"deep.pkr.hcl":   "locals { a = " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }",
		"bang.pkr.hcl":   "locals { a = " + strings.Repeat("!", 500000) + "true }",
		"quotes.pkr.hcl": "locals { a = " + strings.Repeat(`"${`, 100000) + " }",
		"number.pkr.hcl": "locals { a = \"${1e1000000000}\" }",
		"plus.pkr.hcl":   "locals { a = 1" + strings.Repeat("+1", 200000) + " }",
	})
	for name, want := range map[string]string{
		"syntax.pkr.hcl": "syntax.pkr.hcl:2:12: Invalid expression",
		"old.json":       "packer hcl2_upgrade",
		"new.pkr.json":   "JSON syntax",
		"text.txt":       "no Packer template",
		"big.pkr.hcl":    "bytes",
		"deep.pkr.hcl":   "nests",
		"bang.pkr.hcl":   "operators",
		"quotes.pkr.hcl": "nests",
		"plus.pkr.hcl":   "operators",
		"number.pkr.hcl": "too large",
		"none.pkr.hcl":   "no such file",
	} {
		_, err := Load(filepath.Join(dir, name), Options{})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || cause.ClassOf(err) != cause.Input {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for name, files := range map[string]map[string]string{"no file": {}, "hcl2_upgrade": {"debian.json": "{}"}} {
		if _, err := Load(folder(t, files), Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := folder(t, map[string]string{"a.pkr.hcl": builds})
	for _, f := range []string{filepath.Join(dir, "old.json"), filepath.Join(dir, "syntax.pkr.hcl"), filepath.Join(dir, "none.pkrvars.hcl")} {
		if _, err := Load(good, Options{VarFiles: []string{f}}); err == nil {
			t.Errorf("values of %s were read", f)
		}
	}
}

// A build may give a source another name and more arguments; several builds use it.
func TestBuilds(t *testing.T) {
	tpl := load(t, `
source "qemu" "a" {
  memory = 1
  cpus   = 1
}
source "qemu" "b" {}
source "qemu" "unused" {}
build {
  sources = ["source.qemu.a", "qemu.b"]
  source "qemu.a" {
    name   = "second"
    memory = 2
  }
}
`, Options{})
	var got []string
	for _, s := range tpl.Sources {
		got = append(got, s.Name+"/"+s.Build+"/"+valueText(t, s, "memory")+"/"+valueText(t, s, "cpus"))
	}
	want := []string{"a/a/1/1", "b/b/<absent>/<absent>", "a/second/2/1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(tpl.Problems) != 1 || !strings.Contains(tpl.Problems[0].Text, "unused") {
		t.Errorf("%v", tpl.Problems)
	}
	tpl = load(t, "source \"qemu\" \"a\" { memory = 1 }\n", Options{}) // a part of a template
	if len(tpl.Sources) != 1 || tpl.Sources[0].Build != "" {
		t.Errorf("%+v", tpl.Sources)
	}
}

// Functions give what Packer's documentation says.
func TestFunctions(t *testing.T) {
	env := func(name string) string { return map[string]string{"HOME_OF": "x"}[name] }
	dir := folder(t, map[string]string{"data.txt": "content"})
	for expr, want := range map[string]string{
		`upper("a")`: "A", `replace("7.9", ".", "")`: "79", `sha1("a")`: "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
		`md5("")`: "d41d8cd98f00b204e9800998ecf8427e", `substr(sha256("a"), 0, 8)`: "ca978112", `basename("/a/b.iso")`: "b.iso", `dirname("/a/b.iso")`: "/a",
		`format("%02d-%s", 3, "x")`: "03-x", `join(",", ["a", "b"])`: "a,b", `split(",", "a,b")[1]`: "b", `length([1, 2])`: "2", `length("abc")`: "3",
		`index(["a", "b"], "b")`: "1", `startswith("abc", "ab")`: "true", `endswith("abc", "ab")`: "false", `strcontains("abc", "b")`: "true",
		`alltrue([true, false])`: "false", `anytrue([true, false])`: "true", `sum([1, 2])`: "3", `tonumber("5") + 1`: "6", `env("HOME_OF")`: "x",
		`file("data.txt")`: "content", `fileexists("none")`: "false", `fileexists("data.txt")`: "true", `base64decode(base64encode("a"))`: "a", `urlencode("a b")`: "a+b",
		`cidrnetmask("10.0.0.0/8")`: "255.0.0.0", `coalesce(null, "b")`: "b", `lookup({a = "1"}, "b", "2")`: "2", `merge({a = 1}, {b = 2}).b`: "2",
		`regex_replace("a1b", "[0-9]", "")`: "ab", `contains(["a"], "a")`: "true", `can(local.x)`: "false", `try(local.x, "y")`: "y", `[for s in ["a"] : upper(s)][0]`: "A",
		`element(["a", "b"], 3)`: "b", `tostring(true)`: "true", `compact(["", "a"])[0]`: "a", `abs(-1)`: "1", `title("ab")`: "Ab", `formatdate("YYYY", "2026-11-30T00:00:00Z")`: "2026",
		`timestamp()`: "[timestamp()]", `"a-${uuidv4()}"`: "[uuidv4()]", `vault("a", "b")`: "[vault()]", `true ? "a" : timestamp()`: "a", `length(timestamp()) > 0 ? "x" : "y"`: "[timestamp()]",
		`path.root`: dir, `path.cwd == "" ? "" : "cwd"`: "cwd", `packer.version`: "[packer.version]",
	} {
		file := filepath.Join(dir, "t.pkr.hcl")
		if err := os.WriteFile(file, []byte("source \"qemu\" \"vm\" {\n  vm_name = "+expr+"\n}\n"+builds), 0o600); err != nil {
			t.Fatal(err)
		}
		tpl, err := Load(file, Options{Env: env})
		if err != nil {
			t.Fatal(err)
		}
		if got := valueText(t, tpl.Sources[0], "vm_name"); got != want {
			t.Errorf("%s: %s, want %s %v", expr, got, want, tpl.Problems)
		}
	}
}

// Functions refuse what they cannot take, and the value is then not known.
func TestFunctionErrors(t *testing.T) {
	for _, expr := range []string{`format("%1000000000d", 1)`, `file("/no/such")`, `file("/dev/zero")`, `cidrnetmask("x")`, `index([1], 2)`, `index("a", "b")`, `base64decode("%")`, `tonumber("x")`, `sum([null])`, `range(0, 1e12)`} {
		tpl := load(t, "source \"qemu\" \"vm\" {\n  vm_name = "+expr+"\n}\n"+builds, Options{})
		if got := valueText(t, tpl.Sources[0], "vm_name"); !strings.HasPrefix(got, "[") || len(tpl.Problems) != 1 || tpl.Problems[0].Line != 2 {
			t.Errorf("%s: %s, %v", expr, got, tpl.Problems)
		}
	}
}

func TestPlugins(t *testing.T) {
	tpl := load(t, "packer {\n  required_plugins {\n    qemu = {\n      version = \"~> 1.1.3\"\n      source = \"github.com/hashicorp/qemu\"\n    }\n    odd = 1\n  }\n}\n", Options{})
	if tpl.Plugins["qemu"] != "~> 1.1.3" || len(tpl.Plugins) != 1 {
		t.Errorf("%v", tpl.Plugins)
	}
}

func FuzzTemplate(f *testing.F) {
	files, err := filepath.Glob("../testdata/*/*.pkr.hcl")
	if err != nil || len(files) < 10 {
		f.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("variable \"a\" { type = map(any) }\nlocals {\n a = [for k, v in var.a : k => v...]\n}\n")
	f.Add("locals { a = local.b[*].c }\nlocals { b = timestamp() }\nsource \"qemu\" \"vm\" { qemuargs = concat(local.a, [[null, 1]]) }")
	f.Add("source \"qemu\" \"vm\" { vm_name = <<EOT\n%{ if true }${path.root}%{ endif }\nEOT\n}")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 {
			return
		}
		tpl, err := Load("t.pkr.hcl", Options{OS: "linux", Contents: map[string][]byte{"t.pkr.hcl": []byte(text)}})
		if err != nil {
			return
		}
		for _, s := range tpl.Sources {
			for name, a := range s.Args {
				if a.Value.IsMarked() || a.Expr == nil {
					t.Errorf("%s: %#v", name, a.Value)
				}
			}
		}
	})
}
