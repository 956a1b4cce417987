package recovery

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"ingot/backend/build/outputs"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/guest/qemu"
	"ingot/backend/home"
)

// What a killed process left is removed; what a running one uses stays.
func TestRecover(t *testing.T) {
	dir := t.TempDir()
	h := Home{Home: home.Home{Data: filepath.Join(dir, "data"), Cache: filepath.Join(dir, "cache")}, Ledger: evidence.Ledger{Dir: filepath.Join(dir, "builds")}, Children: event.Children{Dir: filepath.Join(dir, "children")}, Log: slog.New(slog.DiscardHandler)}
	outs := filepath.Join(h.Home.Data, "outputs")
	first, err := outputs.Partial(outs, "making-kernel")
	if err != nil {
		t.Fatal(err)
	}
	second, err := outputs.Partial(outs, "making-kernel")
	if err != nil || second == first {
		t.Fatalf("%s, %v", second, err)
	}
	dead := filepath.Join(outs, ".making-image-0-by-1-never")
	vm := filepath.Join(t.TempDir(), qemu.FolderPrefix+"1")
	notOurs := filepath.Join(t.TempDir(), "somebody's")
	for _, d := range []string{dead, vm, notOurs} {
		if err := os.MkdirAll(filepath.Join(d, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	orphan := func(name, folder string) {
		if err := os.MkdirAll(h.Children.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"owner": 1, "ownerStart": "never", "folder": %q}`, folder)
		if err := os.WriteFile(filepath.Join(h.Children.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	orphan("a.json", vm)
	orphan("b.json", notOurs)
	cut, err := h.Ledger.Build("debian-12-arm64", "20200101-000000-0000")
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
		if err := h.Recover(nil); err != nil {
			t.Fatal(err)
		}
		events, err := cut.Journal()
		if err != nil || len(events) != 2 || events[1].Kind != event.BuildFinished || events[1].Cause != "evidence.interrupted" {
			t.Errorf("%+v, %v", events, err)
		}
	}
	for path, want := range map[string]bool{dead: false, vm: false, notOurs: true, first: true, second: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	if o, err := h.Children.Orphans(); err != nil || len(o) != 0 {
		t.Errorf("%v, %v", o, err)
	}
}
