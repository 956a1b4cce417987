package build

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ingot/backend/event"
	"ingot/backend/guest"
)

// What a killed process left is cleared away; what a live one uses stays.
func TestRecover(t *testing.T) {
	l := line(t, &guest.Local{})
	outs := l.store("kernel").dir
	mine, err := halfMade(outs, "making-kernel")
	if err != nil {
		t.Fatal(err)
	}
	second, err := halfMade(outs, "making-kernel")
	if err != nil || second == mine {
		t.Fatalf("%s, %v", second, err)
	}
	dead := filepath.Join(outs, ".making-image-0-by-1-never")
	vm := filepath.Join(t.TempDir(), machineFolder+"1")
	notOurs := filepath.Join(t.TempDir(), "somebody's")
	for _, d := range []string{dead, vm, notOurs} {
		if err := os.MkdirAll(filepath.Join(d, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	orphan := func(name, folder string) {
		if err := os.MkdirAll(l.Children.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(l.Children.Dir, name), fmt.Sprintf(`{"owner": 1, "ownerStart": "never", "folder": %q}`, folder))
	}
	orphan("a.json", vm)
	orphan("b.json", notOurs)
	cut, err := l.Ledger.Build("debian-12-arm64", "20200101-000000-0000")
	if err != nil {
		t.Fatal(err)
	}
	j, err := event.OpenJournal(cut.JournalPath(), cut.Target, cut.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Add(event.Event{Kind: event.BuildStarted, PID: 1, PIDStart: "never"}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := l.Recover(nil); err != nil {
			t.Fatal(err)
		}
		events, err := cut.Journal()
		if err != nil || len(events) != 2 || events[1].Kind != event.BuildFinished || events[1].Cause != "evidence.interrupted" {
			t.Errorf("%+v, %v", events, err)
		}
	}
	for path, want := range map[string]bool{dead: false, vm: false, notOurs: true, mine: true, second: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	if o, err := l.Children.Orphans(); err != nil || len(o) != 0 {
		t.Errorf("%v, %v", o, err)
	}
}
