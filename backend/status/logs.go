package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ingot/backend"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/target"
)

// LogOptions select logs. Build "" means the target's newest build. Step
// selects the logs whose names start with it.
type LogOptions struct {
	Target, Build, Step string
	Follow              bool // continue until the build ends
}

// followPoll is the time between two reads of followed files.
const followPoll = 200 * time.Millisecond

// Logs writes a build's logs and its journal to w. A line with the file's name
// precedes its lines, and when following also each switch to another file.
func Logs(ctx context.Context, b *backend.Backend, opt LogOptions, w io.Writer) error {
	bd, err := FindBuild(b, opt.Target, opt.Build)
	if err != nil {
		return err
	}
	t := &tails{w: w, read: map[string]int64{}}
	for {
		events, err := bd.Journal()
		if err != nil {
			return err
		}
		over := !event.Live(events) // checked before reading, so that the last lines are not missed
		if err := t.more(logFiles(bd, opt.Step)); err != nil {
			return err
		}
		if !opt.Follow || over {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followPoll):
		}
	}
}

// FindBuild returns the build with the id, or the newest one for "". It returns
// a *backend.NoBuildError if there is none.
func FindBuild(b *backend.Backend, name, id string) (evidence.Build, error) {
	if _, err := b.Targets.Get(name); target.IsUnknown(err) {
		return evidence.Build{}, err
	}
	builds, err := b.Ledger.Builds(name)
	if err != nil {
		return evidence.Build{}, err
	}
	for _, bd := range slices.Backward(builds) {
		if id == "" || bd.ID == id {
			return bd, nil
		}
	}
	return evidence.Build{}, &backend.NoBuildError{Target: name, Build: id}
}

// EndedBuild returns the newest build of a target, or the build that name is the id
// of, whatever its target.
func EndedBuild(b *backend.Backend, name string) (evidence.Build, error) {
	bd, err := FindBuild(b, name, "")
	if err == nil || !target.IsUnknown(err) {
		return bd, err
	}
	targets, lerr := b.Ledger.Targets()
	if lerr != nil {
		return bd, lerr
	}
	for _, t := range targets {
		if bd, ferr := FindBuild(b, t, name); ferr == nil {
			return bd, nil
		}
	}
	return bd, err
}

// logFiles returns the logs of a build, sorted by name, and then its journal.
func logFiles(bd evidence.Build, step string) []string {
	files, _ := filepath.Glob(bd.LogPath(step + "*.log")) // a step with pattern characters has no logs
	if step == "" {
		files = append(files, bd.JournalPath())
	}
	return files
}

// tails copies the new part of files.
type tails struct {
	w    io.Writer
	read map[string]int64
	last string
}

func (t *tails) more(files []string) error {
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = errors.Join(t.copyNew(f, name), f.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tails) copyNew(f *os.File, name string) error {
	info, err := f.Stat()
	if err != nil || info.Size() <= t.read[name] {
		return err
	}
	if t.last != name {
		fmt.Fprintf(t.w, "==> %s\n", name)
		t.last = name
	}
	n, err := io.Copy(t.w, io.NewSectionReader(f, t.read[name], info.Size()-t.read[name]))
	t.read[name] += n
	return err
}
