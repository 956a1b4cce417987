package backend_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/doctor"
	"ingot/backend/packer"
	"ingot/backend/packer/run"
	"ingot/backend/packer/template"
	"ingot/backend/retention"
	"ingot/backend/status"
	"ingot/backend/verify"
	"ingot/backend/vm"
)

// docs/cli-json.md lists the fields of each document that programs read:
// all of them, and no others.
func TestJSONContract(t *testing.T) {
	page, err := os.ReadFile("../docs/cli-json.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string][]string{}
	section := ""
	field := regexp.MustCompile("`([A-Za-z0-9]+)`")
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(name)
		}
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") {
			for _, m := range field.FindAllStringSubmatch(cells[1], -1) {
				sections[section] = append(sections[section], m[1])
			}
		}
	}
	for _, v := range []any{api.Row{}, api.Cell{}, api.Event{}, verify.Verified{}, verify.Pulled{}, doctor.Report{}, doctor.Check{}, status.Explanation{}, api.OwnerInfo{}, api.ActiveBuild{}, api.Snapshot{}, api.Submission{}, retention.Reindexed{}, retention.Collection{}, retention.Garbage{}, status.Rule{}, api.WorkerInfo{}, vm.Instance{}, verify.Leaks{}, verify.LeakArea{}, verify.Leak{}, build.Plan{}, build.Step{}, packer.Diagnosis{}, packer.CommandLine{}, packer.Finding{}, packer.Change{}, template.Problem{}, run.Message{}, run.Outcome{}, run.Disk{}} {
		typ := reflect.TypeOf(v)
		want := jsonFields(typ)
		got := sections[typ.Name()]
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the page has %v, the program %v", typ.Name(), got, want)
		}
	}
}

func jsonFields(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			out = append(out, jsonFields(f.Type)...)
		case name != "" && name != "-":
			out = append(out, name)
		}
	}
	return out
}
