package rewrite

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Rows are added, removed and moved in every layout.
func TestRows(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		change func(*Rows)
		want   string
	}{
		"add to none":        {`[]`, func(l *Rows) { l.Insert(0, "-a", "b") }, `[["-a", "b"]]`},
		"add on one line":    {`[["-x", "y"]]`, func(l *Rows) { l.Insert(1, "-a", "b") }, `[["-x", "y"], ["-a", "b"]]`},
		"add after a comma":  {"[\n  [\"-x\", \"y\"],\n]", func(l *Rows) { l.Insert(1, "-a", "b") }, "[\n  [\"-x\", \"y\"],\n  [\"-a\", \"b\"],\n]"},
		"add without comma":  {"[\n  [\"-x\", \"y\"]\n]", func(l *Rows) { l.Insert(1, "-a", "b") }, "[\n  [\"-x\", \"y\"],\n  [\"-a\", \"b\"]\n]"},
		"add after comment":  {"[\n  [\"-x\", \"y\"] # why\n]", func(l *Rows) { l.Insert(1, "-a", "b") }, "[\n  [\"-x\", \"y\"], # why\n  [\"-a\", \"b\"]\n]"},
		"insert on one line": {`[["-x", "y"], ["-z", "z"]]`, func(l *Rows) { l.Insert(0, "-a", "b") }, `[["-a", "b"], ["-x", "y"], ["-z", "z"]]`},
		"insert on lines":    {"[\n  [\"-x\", \"y\"],\n  [\"-z\", \"z\"]\n]", func(l *Rows) { l.Insert(1, "-a", "b") }, "[\n  [\"-x\", \"y\"],\n  [\"-a\", \"b\"],\n  [\"-z\", \"z\"]\n]"},
		"insert first":       {"[\n  [\"-x\", \"y\"],\n]", func(l *Rows) { l.Insert(0, "-a", "b") }, "[\n  [\"-a\", \"b\"],\n  [\"-x\", \"y\"],\n]"},
		"remove first":       {`[["-x", "y"], ["-z", "z"]]`, func(l *Rows) { l.Remove(0) }, `[["-z", "z"]]`},
		"remove last":        {"[\n  [\"-x\", \"y\"],\n  [\"-z\", \"z\"]\n]", func(l *Rows) { l.Remove(1) }, "[\n  [\"-x\", \"y\"],\n]"},
		"dollars":            {`[]`, func(l *Rows) { l.Insert(0, "-a", "${x}%{y}\"") }, `[["-a", "$${x}%%{y}\""]]`},
		"nested":             {`[["-x", "${local.a[0]}", f([1, 2])], [local.k, local.v]]`, func(l *Rows) { l.Insert(2, "-a", "b") }, `[["-x", "${local.a[0]}", f([1, 2])], [local.k, local.v], ["-a", "b"]]`},
	} {
		file, diags := hclwrite.ParseConfig([]byte("qemuargs = "+c.before+"\n"), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", name, diags)
		}
		if !EditRows(file.Body(), c.change) {
			t.Errorf("%s: no change", name)
		}
		if got := strings.TrimSuffix(strings.TrimPrefix(string(file.BuildTokens(nil).Bytes()), "qemuargs = "), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	file, _ := hclwrite.ParseConfig([]byte("qemuargs = concat([], [])\n"), "", hcl.InitialPos)
	if EditRows(file.Body(), func(l *Rows) { l.Insert(0, "-a", "b") }) {
		t.Error("a call was changed")
	}
}
