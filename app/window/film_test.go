package window

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/app/feed"
	"ingot/backend/api"
	"ingot/backend/status"
)

var goodLog = []string{"UEFI firmware (version 2022)", "BdsDxe: loading Boot0001", "EFI stub: Booting Linux Kernel...", "[    0.000000] Linux version 6.1.0", "[    0.1] pci 0x10 found", "[    1.0] VFS: Mounted root", "systemd[1]: running in system mode", "Debian login: "}

func phasesOf(t *testing.T, log []string) []api.Phase {
	t.Helper()
	got, err := status.Phases(log)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].Seconds = float64(10 * i)
	}
	return got
}

// A log is cut where its phases begin; the last phase of a boot that failed or runs has
// that state, and what was not reached has none.
func TestFilmOf(t *testing.T) {
	for name, c := range map[string]struct {
		log    []string
		end    api.State
		states string // a letter for each frame
		kernel []string
	}{
		"good":   {goodLog, api.Passed, "pppppu", goodLog[3:6]},
		"hang":   {goodLog[:5], api.Failed, "ppfuuu", goodLog[3:5]},
		"live":   {goodLog[:3], api.Running, "pruuuu", nil},
		"silent": {nil, api.Failed, "uuuuuu", nil},
		"quiet":  {slices.Concat(goodLog[3:6], goodLog[7:]), api.Passed, "uupppu", goodLog[3:6]},
	} {
		frames := filmOf(phasesOf(t, c.log), c.log, c.end)
		got := ""
		for _, f := range frames {
			got += map[api.State]string{api.Passed: "p", api.Failed: "f", api.Running: "r", api.Unknown: "u"}[f.state]
		}
		if name == "quiet" { // firmware and loader are not in the log; init wrote nothing
			got, c.states = got[2:], c.states[2:]
		}
		if got != c.states {
			t.Errorf("%s: %s, want %s", name, got, c.states)
		}
		if !slices.Equal(frames[2].lines, c.kernel) {
			t.Errorf("%s: the kernel's frame has %q, want %q", name, frames[2].lines, c.kernel)
		}
	}
}

// The phases that are found in the log of a recorded proof are those of its evidence.
func TestPhasesOfARecord(t *testing.T) {
	p, news := recorded(t)
	for _, r := range news.Rows {
		if r.Boots.Evidence == "" {
			continue
		}
		d, err := p.Evidence(t.Context(), r.Boots.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		var proof api.Proof
		if err := d.Decode(&proof); err != nil || len(proof.Boots) != 2 {
			t.Fatal(err, proof.Boots)
		}
		for _, b := range proof.Boots {
			file, err := p.BuildFile(d, b.Serial)
			if err != nil {
				t.Fatal(err)
			}
			log, err := readConsole(file)
			if err != nil {
				t.Fatal(err)
			}
			found := phasesOf(t, log)
			for i, ph := range b.Phases {
				if ph.Name != "answer" && (i >= len(found) || found[i].Name != ph.Name) {
					t.Errorf("%s: phase %d is %s in the evidence; found %v", b.Name, i, ph.Name, found)
				}
			}
		}
		return
	}
	t.Fatal("no proof was recorded")
}

// The line where a boot left the way of a good one is found without regard to times,
// addresses and numbers.
func TestDifference(t *testing.T) {
	bad := []string{"UEFI firmware (version 2022)", "BdsDxe: loading Boot0001", "EFI stub: Booting Linux Kernel...", "[    0.000000] Linux version 6.1.7", "[    0.3] pci 0x20 found", "[    1.9] VFS: Cannot open root device"}
	common, then, instead, ok := difference(goodLog, bad)
	if !ok || common != bad[4] || then != goodLog[5] || instead != bad[5] {
		t.Errorf("%q, then %q, instead %q, %v", common, then, instead, ok)
	}
	if _, _, instead, ok := difference(goodLog, bad[:5]); !ok || instead != "" {
		t.Errorf("a boot that stops: %q, %v", instead, ok)
	}
	if _, _, _, ok := difference(goodLog, goodLog); ok {
		t.Error("a boot differs from itself")
	}
	if _, _, _, ok := difference(goodLog, []string{"something else"}); ok {
		t.Error("boots without a line in common have a last one")
	}
}

// How far a build is, is told by how long its steps took before, and not at all where
// that is not known.
func TestEstimated(t *testing.T) {
	at := time.Unix(1000, 0)
	plan := []string{"kernel", "image", "prove"}
	before := map[string]time.Duration{"kernel": 100 * time.Second, "image": 20 * time.Second, "prove": 80 * time.Second}
	steps := []step{{name: "kernel", state: api.Passed, took: 100 * time.Second}, {name: "image", state: api.Running, at: at.Add(-10 * time.Second)}}
	now := feed.Build{ActiveBuild: api.ActiveBuild{Step: "image"}}
	e, ok := estimated(plan, steps, now, before, at)
	if !ok || e.left != 90*time.Second || e.done < 0.54 || e.done > 0.56 {
		t.Errorf("%+v, %v", e, ok)
	}
	now.ETA = 30 * time.Second // what the step tells of itself is nearer
	if e, _ := estimated(plan, steps, now, before, at); e.left != 110*time.Second {
		t.Errorf("with the step's own: %+v", e)
	}
	steps[1].at = at.Add(-60 * time.Second) // longer than ever
	now.ETA = 0
	if e, _ := estimated(plan, steps, now, before, at); e.left <= 80*time.Second || e.done >= 1 {
		t.Errorf("a step that takes longer: %+v", e)
	}
	delete(before, "prove")
	if e, ok := estimated(plan, steps, now, before, at); !ok || e.left != 0 {
		t.Errorf("a step that was never run: %+v, %v", e, ok)
	}
	delete(before, "image")
	if _, ok := estimated(plan, steps, now, before, at); ok {
		t.Error("the running step was never timed, yet there is an estimate")
	}
	if _, ok := estimated(nil, nil, now, before, at); ok {
		t.Error("nothing is known, yet there is an estimate")
	}
}

// A target's page shows its stations, why it failed, and the buttons that fit; Cancel
// answers at once.
func TestTargetPage(t *testing.T) {
	t.Run("building", func(t *testing.T) {
		p, news := acted()
		busy(p, &news)
		s := shown(t, p, "target/debian-12-arm64", news, *p.progress)
		s.until("30 %")
		s.until("about 5 min left")
		s.tap("Cancel build")
		s.until("Cancelling…")
		s.asked(p, "cancel "+buildID)
	})
	t.Run("ended", func(t *testing.T) {
		p, news := acted()
		atWork(p, &news)
		show := func(s *stage, target, until string) {
			s.on(func() { s.Go(Route{pageTarget, []string{target}}) })
			s.until(until)
		}
		s := shown(t, p, "target/alpine-3.23-arm64", news)
		s.until("It did not boot")
		s.until("the root file system was not found")
		s.tap("Build")
		s.asked(p, "submit alpine-3.23-arm64 until= force=[]")
		show(s, "alpine-3.23-arm64", "It did not boot")
		s.tap("Boot test")
		s.asked(p, "submit alpine-3.23-arm64 until=prove force=[prove]")
		show(s, "debian-13-arm64", "Build again")
		if strings.Contains(s.texts(), "What to do.") {
			t.Error("a target that boots has a failure")
		}
		s.tap("Get image")
		if got := s.route(); got != "artifacts/debian-13-arm64" {
			t.Error(got)
		}
		show(s, "none", "there is no such target")
	})
}
