package backend

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

	"ingot/backend/event"
	"ingot/backend/evidence"
)

// LogOptions say which logs. Build "" is the target's newest; Step, if given,
// is the beginning of the logs' names.
type LogOptions struct {
	Target, Build, Step string
	Follow              bool // go on until the build ends
}

// NoBuildError says that a target has no such build.
type NoBuildError struct{ Target, Build string }

func (e *NoBuildError) Error() string {
	if e.Build == "" {
		return fmt.Sprintf("%s has not been built yet: `ingot build %s`", e.Target, e.Target)
	}
	return fmt.Sprintf("%s has no build %s: its builds are in `ingot home --data`/builds/%s", e.Target, e.Build, e.Target)
}

// followPoll is how often a follower looks for new lines.
const followPoll = 200 * time.Millisecond

// Logs writes a build's logs and its journal. Each file's name stands before
// its lines; following, whenever another file goes on.
func (b *Backend) Logs(ctx context.Context, opt LogOptions, w io.Writer) error {
	bd, err := b.findBuild(opt.Target, opt.Build)
	if err != nil {
		return err
	}
	t := &tails{w: w, read: map[string]int64{}}
	for {
		events, err := bd.Journal()
		if err != nil {
			return err
		}
		over := !event.Live(events) // looked at first: what is written until then is read below
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

func (b *Backend) findBuild(name, id string) (evidence.Build, error) {
	if _, err := b.targets.Get(name); isUnknown(err) {
		return evidence.Build{}, err
	}
	builds, err := b.ledger.Builds(name)
	if err != nil {
		return evidence.Build{}, err
	}
	for _, bd := range slices.Backward(builds) {
		if id == "" || bd.ID == id {
			return bd, nil
		}
	}
	return evidence.Build{}, &NoBuildError{name, id}
}

// logFiles are the logs of a build in order of name, then its journal.
func logFiles(bd evidence.Build, step string) []string {
	files, _ := filepath.Glob(bd.LogPath(step + "*.log")) // a step with pattern characters has no logs
	if step == "" {
		files = append(files, bd.JournalPath())
	}
	return files
}

// tails copies what is new in files.
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
