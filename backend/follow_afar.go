package backend

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/team"
)

// waiting is what a build knows of the team while no worker has begun it.
type waiting struct {
	worker string    // that runs it; "" while it waits
	looked time.Time // at the workers
	said   string
	lost   int // looks at which the team had neither the job nor a result
}

// Times between two looks at the workers while a build waits, and at the queue.
const (
	workersLook = 5 * time.Second
	jobsAnswer  = 5 * time.Second
)

// Event writes what the worker's journal says into the build's own. That the
// build ends there does not end it here, and documents are not here yet.
func (a *afar) Event(worker string, e event.Event) error {
	if e.Kind == event.Progress {
		return a.journal.Add(e)
	}
	if err := a.begun(worker); err != nil {
		return err
	}
	switch e.Kind {
	case event.StepStarted, event.StepSkipped, event.StepFinished, event.Note:
		return a.journal.Add(e)
	}
	return nil
}

// begun notes which worker has the build. One whose key is not believed need
// not be waited for.
func (a *afar) begun(worker string) error {
	if worker == a.waits.worker {
		return nil
	}
	if a.b.workers[worker] == nil {
		return cause.With("team.worker-unknown", fmt.Errorf("worker %s has taken the build, and its key is not under team.workers in %s", worker, a.b.Home.ConfigFile()))
	}
	a.waits.worker = worker
	a.note("runs at worker %s", a.named(worker))
	return nil
}

func (a *afar) named(worker string) string {
	ctx, cancel := context.WithTimeout(context.Background(), jobsAnswer)
	defer cancel()
	all, _ := a.station.Workers(ctx) // without a name it has its id
	for _, w := range all {
		if w.ID == worker {
			return fmt.Sprintf("%.64q (%s)", w.Host, worker)
		}
	}
	return worker
}

// Log writes a part of a worker's log where it belongs; it may have been there.
// Where the stream has lost a part the rest is left out: the log comes whole with
// the result.
func (a *afar) Log(c team.Chunk) error {
	if err := a.begun(c.Worker); err != nil {
		return err
	}
	if !build.HasLog(c.Step) {
		return nil // no step of a build
	}
	path := a.folder.LogPath(build.WorkerLog(c.Step, c.Worker))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() >= c.Offset {
		_, err = f.WriteAt(c.Data, c.Offset)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Away notes that the team's server went away, or came back.
func (a *afar) Away(err error) error {
	if err == nil {
		a.note("the team's server is there again")
		return nil
	}
	a.note("%v; it is away, a worker goes on without it", err)
	return nil
}

// Idle says what a build waits for, and ends one that the team has lost.
func (a *afar) Idle(ctx context.Context) error {
	if time.Since(a.waits.looked) < workersLook {
		return nil
	}
	a.waits.looked = time.Now()
	if a.waits.worker == "" {
		if all, err := a.station.Workers(ctx); err == nil {
			if why := whyNone(all, a.order, time.Now()); why != a.waits.said {
				a.waits.said = why
				if why != "" {
					a.note("waits: %s", why)
				}
			}
		}
	}
	if held, err := a.station.Queue.Holds(ctx, a.job.ID); err != nil || held {
		a.waits.lost = 0
		return nil //nolint:nilerr // the server is away: the follower says so
	}
	if a.waits.lost++; a.waits.lost < 3 { // the result may be on its way
		return nil
	}
	return &GivenUpError{a.job.ID}
}

// whyNone says why no worker takes the order; "" when one will.
func whyNone(all []team.Worker, o team.Order, now time.Time) string {
	want := fmt.Sprintf("no worker of version %s with guests for %s", o.Version, o.Arch)
	var seen []string
	for _, w := range all {
		switch {
		case !w.Live(now):
			seen = append(seen, fmt.Sprintf("%.64q is silent since %s", w.Host, w.Seen.Format(time.TimeOnly)))
		case w.Can(o):
			return ""
		default:
			seen = append(seen, fmt.Sprintf("%.64q has version %.32q and %.64q", w.Host, w.Version, strings.Join(w.Builds, ", ")))
		}
	}
	if len(seen) == 0 {
		return want + ": none is there; `ingot worker` starts one"
	}
	return want + ": " + strings.Join(seen, "; ")
}
