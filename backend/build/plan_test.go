package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/guest"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// outlooks returns the outlooks of a plan's steps, in order.
func outlooks(t *testing.T, l *Line, opt Options) string {
	t.Helper()
	p, err := l.Plan(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range p.Steps {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s", s.Name, s.Outlook)))
	}
	return strings.Join(out, ", ")
}

// A plan predicts for each step what a build does.
func TestPlan(t *testing.T) {
	g := &played{Local: guest.Local{WorkRoot: t.TempDir()}}
	l := playedLine(t, g)
	opt := Options{Target: "played", Until: StepExport}
	if got, want := outlooks(t, l, opt), "kernel runs, rootfs runs, image runs, export, tools not needed, prove left out, publish left out"; got != want {
		t.Errorf("before the first build:\n%s\n%s", got, want)
	}
	if docs := documents(t, l, "played"); len(docs) != 0 || g.since() != "" {
		t.Errorf("the plan has recorded or run something: %v", docs)
	}
	if _, err := l.Run(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	g.since()
	for name, c := range map[string]struct {
		opt  Options
		want string
	}{
		"to the export": {opt, "kernel unchanged, rootfs not needed, image unchanged, export unchanged, tools not needed, prove left out, publish left out"},
		"forced image":  {Options{Target: "played", Until: StepExport, Force: []string{StepImage}}, "kernel unchanged, rootfs unchanged, image runs, export, tools not needed, prove left out, publish left out"},
		"a twin's":      {Options{Target: "twin", Until: StepKernel}, "kernel unchanged, rootfs not needed, image left out, export left out, tools not needed, prove left out, publish left out"},
	} {
		if got := outlooks(t, l, c.opt); got != c.want {
			t.Errorf("%s:\n%s\n%s", name, got, c.want)
		}
	}
	if len(documents(t, l, "twin")) != 0 {
		t.Error("the plan has recorded something")
	}
	if _, err := qemu.FindHost(t.Context(), "arm64"); err != nil {
		t.Logf("the proof is left out: %v", err)
	} else if got, want := outlooks(t, l, Options{Target: "played"}), "kernel unchanged, rootfs not needed, image unchanged, export unchanged, tools runs, prove runs, publish"; got != want {
		t.Errorf("all:\n%s\n%s", got, want)
	}
	r, err := l.Targets.Get("played")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := l.ImageDir(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "disk.raw")); err != nil {
		t.Fatal(err)
	}
	if got, want := outlooks(t, l, opt), "kernel unchanged, rootfs unchanged, image runs, export, tools not needed, prove left out, publish left out"; got != want {
		t.Errorf("without the disk:\n%s\n%s", got, want)
	}
}

// A plan is plain data: each step follows those that it needs, and its JSON has the
// keys of the golden files.
func TestPlanOf(t *testing.T) {
	l := line(t, &guest.Local{})
	r, err := l.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := l.Targets.Lock(r)
	if err != nil {
		t.Fatal(err)
	}
	frags, err := Fragments(l.Targets, r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(r, lock, frags)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := KeysOf(r, lock, frags)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range p.Steps {
		for _, n := range s.Needs {
			if !seen[n] {
				t.Errorf("%s stands before %s, which it needs", s.Name, n)
			}
		}
		seen[s.Name] = true
	}
	for step, want := range map[string]string{StepKernel: keys.Kernel.Key(), StepRootfs: keys.Rootfs.Key(), StepImage: keys.Image.Key(), stepTools: keys.Tools.Key(), StepExport: "", StepProve: "", StepPublish: ""} {
		if s, ok := p.Step(step); !ok || s.Key != want {
			t.Errorf("%s: key %q, want %q", step, s.Key, want)
		}
	}
	if text, err := json.Marshal(p); err != nil || !strings.HasPrefix(string(text), `{"target":"debian-12-arm64","strategy":"compose","steps":[{"name":"kernel","inGuest":true,"evidence":"Kernel","inputs":{`) {
		t.Errorf("%.120s, %v", text, err)
	}
	r.Proof.Smoke.Checks = nil
	if p, err := PlanOf(r, lock, frags); err != nil || len(p.Steps) != 6 {
		t.Errorf("without checks: %d steps, %v", len(p.Steps), err)
	}
	r.Strategy = target.Install
	if _, err := PlanOf(r, lock, frags); cause.IDOf(err) != "strategy.not-yet" || !errors.As(err, new(*target.NotYetError)) {
		t.Errorf("another strategy: %v", err)
	}
}
