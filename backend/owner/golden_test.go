package owner

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/doctor"
	"ingot/backend/evidence"
	"ingot/backend/guest/lima"
	"ingot/backend/hometest"
	"ingot/backend/retention"
	"ingot/backend/status"
	"ingot/backend/team"
	"ingot/backend/verify"
	"ingot/backend/vm"
)

// The owner's routes and the field names of all that `--json` prints are what
// scripts rely on.
func TestGoldenJSON(t *testing.T) {
	var got strings.Builder
	names := map[reflect.Type]string{reflect.TypeFor[api.Problem](): "problem", reflect.TypeFor[vm.Exported](): "VMExported"} // as they were recorded
	for _, r := range (&Owner{}).routes() {
		fmt.Fprintln(&got, r.pattern)
	}
	for _, v := range []any{
		api.Row{}, api.Event{}, api.Submission{}, api.OwnerInfo{}, api.Snapshot{}, api.Problem{}, status.BuildInfo{},
		doctor.Report{}, retention.Collection{}, retention.Reindexed{}, verify.Verified{}, vm.Exported{}, retention.Leftover{}, api.Ability{},
		evidence.Statement{}, evidence.Leaks{}, evidence.Config{}, evidence.Guest{}, evidence.Kernel{}, evidence.Image{}, evidence.Artifact{}, evidence.Proof{}, evidence.Receipt{},
		build.Plan{}, cause.Explanation{}, cause.Rule{}, lima.Instance{}, team.Worker{},
	} {
		typ := reflect.TypeOf(v)
		for _, f := range jsonFields(typ, nil) {
			fmt.Fprintf(&got, "%s%s\n", cmp.Or(names[typ], typ.Name()), f)
		}
	}
	hometest.Golden(t, "json.txt", got.String())
}

// jsonFields lists the paths of a type's fields in JSON, with their tags.
func jsonFields(t reflect.Type, seen []reflect.Type) (out []string) {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonFields(t.Elem(), seen)
	case reflect.Slice, reflect.Map:
		for _, f := range jsonFields(t.Elem(), seen) {
			out = append(out, "[]"+f)
		}
		return out
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() || slices.Contains(seen, t) {
			return []string{""}
		}
	default:
		return []string{""}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if !f.IsExported() || tag == "-" {
			continue
		}
		name := "." + tag
		if tag == "" {
			name = "." + f.Name
		}
		if f.Anonymous && tag == "" {
			name = ""
		}
		for _, in := range jsonFields(f.Type, append(slices.Clone(seen), t)) {
			out = append(out, name+in)
		}
	}
	return out
}
