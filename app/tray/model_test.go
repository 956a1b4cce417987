package tray

import (
	"fmt"
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
	want := `1 building · 1 waiting · 1 ready · 2 failed (off)
✗ good: no such thing
---
good · kernel · 42 % · about 3 min left
  build 7f3a (off)
  Watch…
  View Log…
  Cancel Build
bad · waits
  build 8 (off)
  Watch…
  View Log…
  Cancel Build
---
✗ broken: The recipe cannot be used: broken.yaml:4: no such…
  See Why and Fix…
  Try Again (off)
---
Build
  bad · failed: boots (off)
  good · boots, published (off)
  broken · broken.yaml:4: no such key (off)
Images
  ✓ good · boots, published
    Show Image
    Save to Downloads As
      qcow2
      raw
      raw.zst
      utm.zip
      tar.zst
    Publish (off)
    Boot Test (off)
    Build Again (off)
    Details…
    ---
    Boots under QEMU, published on 1 Jan (off)
    ✓ recipe  ✓ builder  ✓ kernel  ✓ disk  ✓ boots  ✓ published (off)
  ✗ bad · failed: boots
    Show Image
    Save to Downloads As
      qcow2
      raw
      raw.zst
      utm.zip
      tar.zst
    Publish (off)
    Boot Test (off)
    Build Again (off)
    Details…
    ---
    It did not boot (off)
    ✓ recipe  – builder  ✓ kernel  ✓ disk  ✗ boots  – published (off)
  ---
  Show Images
---
Check an Image…
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
		{"nothing yet", feed.State{Live: true, Rows: []api.Row{{Target: "a"}}}, "no image yet", Idle},
		{"no targets", feed.State{Live: true}, "no targets", Idle},
		{"as the issue has it", feed.State{Live: true, Builds: []feed.Build{building("a", "1"), building("b", "2")}, Rows: []api.Row{proven("1"), proven("2"), proven("3"), proven("4"), proven("5"), failed}}, "2 building · 5 ready · 1 failed", Working},
		{"failed", feed.State{Live: true, Rows: []api.Row{proven("a"), failed}}, "1 ready · 1 failed", Failed},
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
	s := feed.State{Live: true, Rows: []api.Row{proven("good"), {Target: "other", Exported: passed()}, {Target: "bad", Kernel: api.Cell{State: api.Failed}}}, Builds: []feed.Build{building("good", "7f3a")}}
	items := shown(Render(s, Here{}).Items)
	for id, want := range map[string]Action{
		"make/other":             {Build, "other", ""},
		"failed/bad/why":         {Window, "bad", "target/bad"},
		"failed/bad/again":       {Build, "bad", ""},
		"build/7f3a/cancel":      {Cancel, "good", "7f3a"},
		"build/7f3a/log":         {Window, "good", "builds/good/7f3a"},
		"target/good/boot":       {BootTest, "good", ""},
		"target/good/export/raw": {Export, "good", "raw"},
		"target/good/publish":    {Publish, "good", ""},
		"target/good/show":       {Window, "good", "artifacts/good"},
		"target/other/details":   {Window, "other", "target/other"},
		"target/other/build":     {Build, "other", ""},
		"build/7f3a/watch":       {Window, "good", "target/good"},
		"check":                  {Window, "", "notary"},
		"open":                   {Window, "", ""},
		"settings":               {Window, "", "settings"},
		"login":                  {AtLogin, "", ""},
		"quit/leave":             {Quit, "", ""},
		"quit/cancel":            {StopAll, "", ""},
		"quit/stay":              {},
		"target/other/cells":     {},
	} {
		if got := items[id]; got.ID != id || got.Do != want {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if _, asks := items["failed/good/why"]; asks {
		t.Error("a target that is ready is listed as failed")
	}
	if quit := shown(Render(feed.State{}, Here{}).Items)["quit"]; quit.Do.Verb != Quit || len(quit.Items) > 0 {
		t.Errorf("Quit asks although nothing runs: %+v", quit)
	}
}

func TestLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", 59 * time.Second: "less than a minute left", 61 * time.Second: "about 2 min left", 90 * time.Minute: "about 1.5 h left"} {
		if got := left(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// However many targets and VMs there are, and however long their names, the menu stays
// short and narrow: what is left out is in the window, and names stay told apart.
func TestManyTargets(t *testing.T) {
	var rows []api.Row
	var vms []vm.Instance
	long := strings.Repeat("x", 60)
	for i := range 200 {
		r := proven(fmt.Sprintf("%s-%03d", long, i))
		if i%2 == 1 {
			r.Boots = api.Cell{State: api.Failed, Message: strings.Repeat("why ", 50)}
		}
		rows = append(rows, r)
		vms = append(vms, vm.Instance{Name: r.Target, Status: vm.Stopped})
	}
	rows = append(rows, api.Row{Target: "new"}, api.Row{Target: "broken", Configured: api.Cell{State: api.Failed, Message: strings.Repeat("/a/b.yaml:1: bad ", 20)}})
	m := Render(feed.State{Live: true, Rows: rows, VMs: vms}, Here{})
	if len(m.Items) > 18 {
		t.Errorf("%d lines", len(m.Items))
	}
	labels := map[string]bool{}
	var walk func([]Item, string)
	walk = func(items []Item, above string) {
		if len(items) > mostItems+2 && above != "" {
			t.Errorf("%s has %d lines", above, len(items))
		}
		for _, i := range items {
			if n := len([]rune(i.Label)); n > lineLimit && !i.Disabled {
				t.Errorf("%q has %d characters", i.Label, n)
			}
			if strings.HasPrefix(i.ID, "make/"+long) && labels[i.Label] {
				t.Errorf("two targets are %q", i.Label)
			}
			labels[i.Label] = true
			walk(i.Items, i.ID)
		}
	}
	walk(m.Items, "")
	items := shown(m.Items)
	if items["make"].Items[0].ID != "make/new" {
		t.Errorf("the first to be built is %s", items["make"].Items[0].ID)
	}
	if items["failed"].Label != "98 more failed…" || items["make/more"].Do != (Action{Window, "", "home"}) {
		t.Errorf("%+v, %+v", items["failed"], items["make/more"])
	}
	if _, listed := items["make/broken"]; listed {
		t.Error("a recipe that cannot be used comes before others")
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
    Make Image…
    Stop
    Open Shell
    Export
    Build Here
      good
      other (off)
    ---
    arm64 · 4 CPUs · 4.0 GiB memory · 7.0 of 100 GiB disk · vz (off)
    Show…
  boots · starting
    Make Image…
    Stop
    Open Shell
    Export
    Build Here (off)
      good (off)
      other (off)
    ---
    arm64 · 0 CPUs · 0.0 GiB memory · 0.0 of 0 GiB disk · qemu (off)
    Show…
  off · Stopped
    Make Image…
    Start
    Open Shell (off)
    Export
    Build Here (off)
      good (off)
      other (off)
    ---
    an odd disk (off)
    Show…
  wreck · Broken
    Make Image… (off)
    Start (off)
    Open Shell (off)
    Export (off)
    Build Here (off)
      good (off)
      other (off)
    ---
    no lima.yaml (off)
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
