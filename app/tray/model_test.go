package tray

import (
	"strings"
	"testing"
	"time"

	"ingot/app/feed"
	"ingot/backend/api"
	"ingot/backend/vm"
)

func passed() api.Cell { return api.Cell{State: api.Passed} }

func proven(name string) api.Row {
	return api.Row{Target: name, Title: "A title", Configured: passed(), Guest: passed(), Kernel: passed(), Exported: passed(), Boots: passed(), Published: passed()}
}

func building(target, id string) feed.Build {
	return feed.Build{ActiveBuild: api.ActiveBuild{ID: id, Target: target, Started: time.Unix(9, 0), Step: "kernel"}, Done: 42, Total: 100, ETA: 150 * time.Second}
}

// outline prints a menu as a person sees it.
func outline(items []Item, indent string) string {
	var b strings.Builder
	for _, i := range items {
		switch {
		case i.Separator:
			b.WriteString(indent + "---\n")
			continue
		case i.Check && i.Checked:
			b.WriteString(indent + "[x] " + i.Label)
		case i.Check:
			b.WriteString(indent + "[ ] " + i.Label)
		default:
			b.WriteString(indent + i.Label)
		}
		if i.Disabled {
			b.WriteString(" (off)")
		}
		b.WriteString("\n" + outline(i.Items, indent+"  "))
	}
	return b.String()
}

func TestRender(t *testing.T) {
	s := feed.State{Live: true,
		Rows: []api.Row{
			proven("good"),
			{Target: "bad", Configured: passed(), Kernel: passed(), Exported: passed(), Boots: api.Cell{State: api.Failed, Cause: "kernel.no-init"}},
			{Target: "broken", Configured: api.Cell{State: api.Failed, Cause: "config.invalid", Message: "/c/broken.yaml:4: no such key"}},
		},
		Builds: []feed.Build{building("good", "7f3a"), {ActiveBuild: api.ActiveBuild{ID: "8", Target: "bad"}}},
	}
	want := `1 building · 1 waiting · 1 proven · 2 failed (off)
✗ good: no such thing
---
good · kernel · 42 % · 3 min left
  build 7f3a (off)
  View Log…
  Cancel Build
bad · waits
  build 8 (off)
  View Log…
  Cancel Build
---
good · proven, published
  A title (off)
  ✓ configured (off)
  ✓ guest (off)
  ✓ kernel (off)
  ✓ exported (off)
  ✓ boots (off)
  ✓ published (off)
  ---
  Cancel Build
  Boot Test
  Export
    qcow2
    raw
    tar.zst
  Publish
  Show Artifact
bad · failed: boots
  ✓ configured (off)
  – guest: not yet (off)
  ✓ kernel (off)
  ✓ exported (off)
  ✗ boots: kernel.no-init (off)
  – published: not yet (off)
  ---
  Cancel Build
  Boot Test
  Export
    qcow2
    raw
    tar.zst
  Publish (off)
  Show Artifact
  Why Not Ready…
broken · broken.yaml:4: no such key
  ✗ configured: broken.yaml:4: no such key (off)
  – guest: not yet (off)
  – kernel: not yet (off)
  – exported: not yet (off)
  – boots: not yet (off)
  – published: not yet (off)
  ---
  Build (off)
  Boot Test (off)
  Export (off)
    qcow2 (off)
    raw (off)
    tar.zst (off)
  Publish (off)
  Show Artifact (off)
  Why Not Ready…
---
Open Ingot
Settings…
[x] Start at Login
Quit Ingot: 2 builds run
  Quit and let them run on
  Cancel them and quit
  Stay
`
	m := Render(s, Here{Error: "good: no such thing", AtLogin: true})
	if got := outline(m.Items, ""); got != want {
		t.Errorf("the menu is\n%s", got)
	}
	if m.Icon != Working {
		t.Errorf("icon %d", m.Icon)
	}
	ids := map[string]bool{}
	var walk func([]Item)
	walk = func(items []Item) {
		for _, i := range items {
			if i.ID == "" || ids[i.ID] {
				t.Errorf("the ID %q is not unique", i.ID)
			}
			ids[i.ID] = true
			walk(i.Items)
		}
	}
	walk(m.Items)
}

func TestSummaryAndIcon(t *testing.T) {
	failed := api.Row{Target: "f", Kernel: api.Cell{State: api.Failed}}
	for _, c := range []struct {
		name  string
		state feed.State
		want  string
		icon  Icon
	}{
		{"before any news", feed.State{}, "Connecting…", Idle},
		{"nothing yet", feed.State{Live: true, Rows: []api.Row{{Target: "a"}}}, "nothing proven yet", Idle},
		{"no targets", feed.State{Live: true}, "no targets", Idle},
		{"as the issue has it", feed.State{Live: true, Builds: []feed.Build{building("a", "1"), building("b", "2")}, Rows: []api.Row{proven("1"), proven("2"), proven("3"), proven("4"), proven("5"), failed}}, "2 building · 5 proven · 1 failed", Working},
		{"failed", feed.State{Live: true, Rows: []api.Row{proven("a"), failed}}, "1 proven · 1 failed", Failed},
		{"owner gone", feed.State{Problem: "no owner runs: dial\nerror", Rows: []api.Row{proven("a")}, Builds: []feed.Build{building("a", "1")}}, "Not connected: no owner runs: dial error", Failed},
	} {
		m := Render(c.state, Here{})
		if m.Items[0].Label != c.want || m.Icon != c.icon || !m.Items[0].Disabled {
			t.Errorf("%s: %q, icon %d", c.name, m.Items[0].Label, m.Icon)
		}
	}
}

// A click's meaning, by the item's ID.
func TestActions(t *testing.T) {
	s := feed.State{Live: true, Rows: []api.Row{proven("good"), {Target: "other", Exported: passed()}}, Builds: []feed.Build{building("good", "7f3a")}}
	items := shown(Render(s, Here{}).Items)
	for id, want := range map[string]Action{
		"target/other/build":     {Build, "other", ""},
		"target/good/cancel":     {Cancel, "good", "7f3a"},
		"build/7f3a/cancel":      {Cancel, "good", "7f3a"},
		"build/7f3a/log":         {Window, "good", "builds/good/7f3a"},
		"target/good/boot":       {BootTest, "good", ""},
		"target/good/export/raw": {Export, "good", "raw"},
		"target/good/publish":    {Publish, "good", ""},
		"target/good/show":       {Window, "good", "artifacts/good"},
		"target/other/why":       {Window, "other", "reality/other"},
		"open":                   {Window, "", ""},
		"settings":               {Window, "", "settings"},
		"login":                  {AtLogin, "", ""},
		"quit/leave":             {Quit, "", ""},
		"quit/cancel":            {StopAll, "", ""},
		"quit/stay":              {},
		"target/other/exported":  {},
	} {
		if got := items[id]; got.ID != id || got.Do != want {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if _, asks := items["target/good/why"]; asks {
		t.Error("a target that is ready is asked why it is not")
	}
	if quit := shown(Render(feed.State{}, Here{}).Items)["quit"]; quit.Do.Verb != Quit || len(quit.Items) > 0 {
		t.Errorf("Quit asks although nothing runs: %+v", quit)
	}
}

func TestLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", 400 * time.Millisecond: "1 s left", 59 * time.Second: "59 s left", 61 * time.Second: "2 min left", 90 * time.Minute: "1 h 30 min left"} {
		if got := left(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// The VMs stand below the targets, with what can be done to each as it is.
func TestRenderVMs(t *testing.T) {
	s := feed.State{Live: true, Rows: []api.Row{proven("good"), proven("other")}, Builds: []feed.Build{building("other", "7f3a")}, VMs: []vm.Instance{
		{Name: "forge", Status: vm.Running, Phase: vm.Ready, Arch: "arm64", VMType: "vz", CPUs: 4, MemBytes: 4 << 30, DiskBytes: 100 << 30, DiskAllocated: 7 << 30},
		{Name: "boots", Status: vm.Running, Phase: vm.Starting, Arch: "arm64", VMType: "qemu"},
		{Name: "off", Status: vm.Stopped, Problem: "an odd disk"},
		{Name: "wreck", Status: vm.Broken, Problem: "no lima.yaml"},
	}}
	want := `VMs · 2 of 4 running
  forge · ready
    arm64 · 4 CPUs · 4.0 GiB memory · 7.0 of 100 GiB disk · vz (off)
    Stop
    Open Shell
    Export
    Make Image…
    Build Here
      good
      other (off)
    Show…
  boots · starting
    arm64 · 0 CPUs · 0.0 GiB memory · 0.0 of 0 GiB disk · qemu (off)
    Stop
    Open Shell
    Export
    Make Image…
    Build Here (off)
      good (off)
      other (off)
    Show…
  off · Stopped
    an odd disk (off)
    Start
    Open Shell (off)
    Export
    Make Image…
    Build Here (off)
      good (off)
      other (off)
    Show…
  wreck · Broken
    no lima.yaml (off)
    Start (off)
    Open Shell (off)
    Export (off)
    Make Image… (off)
    Build Here (off)
      good (off)
      other (off)
    Show…
  ---
  Show VMs
`
	got := outline(Render(s, Here{}).Items, "")
	if !strings.Contains(got, want) {
		t.Errorf("%s\nwant in it\n%s", got, want)
	}
	if got := outline(Render(feed.State{Live: true}, Here{}).Items, ""); strings.Contains(got, "VMs") {
		t.Errorf("VMs of somebody who has none:\n%s", got)
	}
	if do := shown(Render(s, Here{}).Items)["vm/forge/build/good"].Do; do != (Action{Verb: BuildIn, Target: "good", Arg: "forge"}) {
		t.Errorf("%+v", do)
	}
}
