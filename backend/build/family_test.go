package build

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/build/record"
	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/proof"
	"ingot/backend/target"
	"ingot/resources"
)

// throwAway is a family for this test. Its composing methods are not called.
type throwAway struct{ family.Composer }

func (throwAway) Name() string                         { return "throw-away" }
func (throwAway) Systems() []string                    { return []string{"plan9"} }
func (throwAway) Check(target.Recipe) []target.Problem { return nil }
func (throwAway) Inputs(step string, l target.Lock) map[string]string {
	return map[string]string{"script " + step + ".rc": family.Digest("of " + step), "time": l.Kernel.Version}
}

// A new family needs one line in the table: then a target of it can be loaded, and gets
// the keys of all steps from it.
func TestOneMoreFamily(t *testing.T) {
	defer func(before []family.Family) { all.Families = before }(all.Families)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mine.yaml"), "apiVersion: ingot/v1\nkind: Target\nname: mine\nextends: debian-12-arm64\nos: plan9\n")
	load := func() (target.Recipe, error) {
		set, err := target.Load(resources.FS, dir, all.Check)
		if err != nil {
			t.Fatal(err)
		}
		return set.Get("mine")
	}
	if _, err := load(); err == nil || !strings.Contains(err.Error(), `mine.yaml:5: key "os": "plan9" is not known; accepted: debian`) {
		t.Errorf("without the family: %v", err)
	}
	if _, err := KeysOf(target.Recipe{OS: "plan9"}, target.Lock{}, nil); !errors.As(err, new(*all.UnknownError)) || cause.IDOf(err) != "config.invalid" {
		t.Errorf("keys without the family: %v", err)
	}
	all.Families = append(all.Families[:len(all.Families):len(all.Families)], throwAway{})
	r, err := load()
	if err != nil {
		t.Fatal(err)
	}
	lock := target.Lock{Kernel: target.LockedPackage{Version: "4"}}
	k, err := KeysOf(r, lock, nil)
	if err != nil {
		t.Fatal(err)
	}
	for step, in := range map[string]record.Inputs{"kernel": k.Kernel, "rootfs": k.Rootfs, "tools": k.Tools, "image": k.Image} {
		if in["script "+step+".rc"] != family.Digest("of "+step) || in["time"] != "4" || !strings.HasPrefix(in["step"], step+"/") || in["programs"] != "" {
			t.Errorf("%s: %v", step, in)
		}
	}
	r.OS = "debian"
	debian, err := KeysOf(r, lock, nil)
	if err != nil || debian.Kernel.Key() == k.Kernel.Key() || debian.Image.Key() == k.Image.Key() {
		t.Errorf("another family has the same keys, %v", err)
	}
}

// speaking is a family with a dialect of its own.
type speaking struct{ throwAway }

type dialect struct{ proof.Linux }

func (speaking) Dialect() proof.Dialect { return dialect{} }

// A family gives the dialect of its systems, or they are operated as Linux.
func TestDialectOfFamily(t *testing.T) {
	if d := dialectOf(speaking{}); d != (dialect{}) {
		t.Errorf("%T", d)
	}
	if d := dialectOf(throwAway{}); d != (proof.Linux{}) {
		t.Errorf("%T", d)
	}
}
