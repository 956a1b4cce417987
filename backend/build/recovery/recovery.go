// Package recovery cleans up after killed processes: running machines, work
// directories, incomplete outputs, journals without an end.
package recovery

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ingot/backend/build/outputs"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/guest/qemu"
	"ingot/backend/home"
)

// Home is the home to clean up.
type Home struct {
	Home     home.Home
	Ledger   evidence.Ledger
	Children event.Children
	Bus      *event.Bus // gets the events that end journals; may be nil
	Log      *slog.Logger
}

// Recover cleans up after killed processes on this computer: machines that are still
// running, their folders, incomplete outputs, and journals without an end, except those
// of builds that will be continued, by id. The caller holds the home's lock.
func (h Home) Recover(goesOn map[string]bool) error {
	orphans, err := h.Children.Orphans()
	if err != nil {
		return err
	}
	for _, c := range orphans {
		if c.Guest != "" {
			continue // in a guest; see Reclaim
		}
		ended := c.End()
		var rerr error
		if c.Folder != "" && strings.HasPrefix(filepath.Base(c.Folder), qemu.FolderPrefix) {
			rerr = os.RemoveAll(c.Folder)
		}
		h.Log.Info("left by a killed process", "pid", c.PID, "ended", ended, "folder", c.Folder)
		if rerr == nil { // what could not be removed is tried again the next time
			rerr = c.Forget()
		}
		err = errors.Join(err, rerr)
	}
	for _, dir := range []string{filepath.Join(h.Home.Cache, "outputs"), filepath.Join(h.Home.Data, "outputs")} {
		err = errors.Join(err, outputs.ClearPartial(dir))
	}
	for dir, patterns := range map[string][]string{
		os.TempDir():                           {"ingot-proof-*", "ingot-put-*", "ingot-probe-*", qemu.FolderPrefix + "*"},
		"/tmp":                                 {qemu.FolderPrefix + "*"},
		h.Home.Cache:                           {"verify-*", ".tmp-*"},
		filepath.Join(h.Home.Cache, "inputs"):  {".tmp-*"},
		filepath.Join(h.Home.Data):             {".tmp-*"},
		filepath.Join(h.Home.Data, "children"): {".new-*"},
		filepath.Join(h.Ledger.Dir, "*", "*", "evidence"): {".tmp-*"},
	} {
		for _, p := range patterns {
			err = errors.Join(err, home.Sweep(filepath.Join(dir, p), leftoverAge))
		}
	}
	return errors.Join(err, h.closeJournals(goesOn))
}

// leftoverAge is the age from which on a temporary file is taken for one of a killed
// process: no operation uses one for so long, and other homes share the folders.
const leftoverAge = 24 * time.Hour

// closeJournals writes the end to the journals of builds whose process has ended. A
// queue may hold several builds of a target, so all since its last finished one are
// examined.
func (h Home) closeJournals(goesOn map[string]bool) error {
	names, err := h.Ledger.Targets()
	if err != nil {
		return err
	}
	for _, n := range names {
		builds, berr := h.Ledger.Builds(n)
		if berr != nil || len(builds) == 0 {
			err = errors.Join(err, berr)
			continue
		}
		for _, b := range slices.Backward(builds) {
			if goesOn[b.ID] {
				continue
			}
			ended, cerr := h.closeJournal(b)
			err = errors.Join(err, cerr)
			if ended {
				break
			}
		}
	}
	return err
}

// closeJournal reports whether the journal had its end already.
func (h Home) closeJournal(b evidence.Build) (ended bool, err error) {
	events, err := event.Read(b.JournalPath())
	if err != nil || len(events) == 0 {
		return false, nil //nolint:nilerr // a build without a journal has only files
	}
	if event.Ended(events) {
		return true, nil
	}
	if event.Live(events) {
		return false, nil
	}
	j, err := event.OpenJournal(b.JournalPath(), b.Target, b.ID, h.Bus)
	if err != nil {
		return false, err
	}
	return false, errors.Join(j.Add(event.Event{Kind: event.BuildFinished, Outcome: event.Failed, Cause: "evidence.interrupted", Msg: "the process that ran this build ended before it did"}), j.Close())
}

// Reclaim removes the work directories that killed processes left in a guest, and ends
// the processes that still use them.
func Reclaim(ctx context.Context, children event.Children, g guest.Guest) error {
	orphans, err := children.Orphans()
	if err != nil {
		return err
	}
	for _, c := range orphans {
		if c.Guest == g.Name() {
			rerr := guest.Reclaim(ctx, g, c.Folder)
			if rerr == nil { // what remains is tried again by the next build
				rerr = c.Forget()
			}
			err = errors.Join(err, rerr)
		}
	}
	return err
}
