package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/home"
)

// Recover clears away what killed processes left on this computer: machines
// that still run, their folders, half-made outputs, journals without an end –
// but not those of builds that will go on, by id. The caller holds the home's
// lock.
func (l *Line) Recover(goesOn map[string]bool) error {
	orphans, err := l.Children.Orphans()
	if err != nil {
		return err
	}
	for _, c := range orphans {
		if c.Guest != "" {
			continue // the guest's own; see reclaim
		}
		ended := c.End()
		if c.Folder != "" && strings.HasPrefix(filepath.Base(c.Folder), machineFolder) {
			err = errors.Join(err, os.RemoveAll(c.Folder))
		}
		l.Log.Info("left by a killed process", "pid", c.PID, "ended", ended, "folder", c.Folder)
		err = errors.Join(err, c.Forget())
	}
	for _, dir := range []string{l.store("").dir, l.store("kernel").dir} {
		err = errors.Join(err, clearHalfMade(dir))
	}
	for dir, patterns := range map[string][]string{
		os.TempDir():                           {"ingot-proof-*", "ingot-put-*", "ingot-probe-*", machineFolder + "*"},
		"/tmp":                                 {machineFolder + "*"},
		l.Home.Cache:                           {"verify-*", ".tmp-*"},
		filepath.Join(l.Home.Cache, "inputs"):  {".tmp-*"},
		filepath.Join(l.Home.Data):             {".tmp-*"},
		filepath.Join(l.Home.Data, "children"): {".new-*"},
		filepath.Join(l.Ledger.Dir, "*", "*", "evidence"): {".tmp-*"},
	} {
		for _, p := range patterns {
			err = errors.Join(err, home.Sweep(filepath.Join(dir, p), leftoverAge))
		}
	}
	return errors.Join(err, l.closeJournals(goesOn))
}

// leftoverAge is when a temporary file counts as left by a process that was
// killed: no work that uses one takes so long, and other homes share the places.
const leftoverAge = 24 * time.Hour

// clearHalfMade removes the temporary folders of processes that are gone.
// Their names end with the process and its start.
func clearHalfMade(dir string) error {
	folders, err := filepath.Glob(filepath.Join(dir, ".*-by-*"))
	if err != nil {
		return err
	}
	for _, f := range folders {
		var pid int
		var start string
		name := filepath.Base(f)
		if _, serr := fmt.Sscanf(strings.ReplaceAll(name[strings.LastIndex(name, "-by-"):], "-", " "), " by %d %s", &pid, &start); serr != nil || !event.Alive(pid, start) {
			err = errors.Join(err, os.RemoveAll(f))
		}
	}
	return err
}

// halfMade makes a temporary folder for an output; its name tells whose it is.
func halfMade(dir, what string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("outputs: %w", err)
	}
	pid, start := event.Self()
	for i := 0; ; i++ {
		path := filepath.Join(dir, fmt.Sprintf(".%s-%d-by-%d-%s", what, i, pid, start))
		err := os.Mkdir(path, 0o755)
		if err == nil || !errors.Is(err, os.ErrExist) {
			return path, err
		}
	}
}

// closeJournals writes the end into the journals of builds whose process is
// gone. A queue may hold several builds of a target, so all since its last
// ended one are looked at.
func (l *Line) closeJournals(goesOn map[string]bool) error {
	names, err := l.Ledger.Targets()
	if err != nil {
		return err
	}
	for _, n := range names {
		builds, berr := l.Ledger.Builds(n)
		if berr != nil || len(builds) == 0 {
			err = errors.Join(err, berr)
			continue
		}
		for _, b := range slices.Backward(builds) {
			if goesOn[b.ID] {
				continue
			}
			ended, cerr := l.closeJournal(b)
			err = errors.Join(err, cerr)
			if ended {
				break
			}
		}
	}
	return err
}

// closeJournal tells whether the journal had its end already.
func (l *Line) closeJournal(b evidence.Build) (ended bool, err error) {
	events, err := event.Read(b.JournalPath())
	if err != nil || len(events) == 0 {
		return false, nil //nolint:nilerr // a build of nothing but files has no journal
	}
	if event.Ended(events) {
		return true, nil
	}
	if event.Live(events) {
		return false, nil
	}
	j, err := event.OpenJournal(b.JournalPath(), b.Target, b.ID, l.Bus)
	if err != nil {
		return false, err
	}
	return false, errors.Join(j.Add(event.Event{Kind: event.BuildFinished, Outcome: event.Failed, Cause: "evidence.interrupted", Msg: "the process that ran this build ended before it did"}), j.Close())
}

// reclaim takes back the work directories that killed processes left in the
// guest, and ends what still works in them.
func (l *Line) reclaim(ctx context.Context, g guest.Guest) error {
	orphans, err := l.Children.Orphans()
	if err != nil {
		return err
	}
	for _, c := range orphans {
		if c.Guest == g.Name() {
			err = errors.Join(err, guest.Reclaim(ctx, g, c.Folder), c.Forget())
		}
	}
	return err
}
