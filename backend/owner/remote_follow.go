package owner

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
	"ingot/backend/remote"
	"ingot/backend/team"
)

// waiting is the state of a build that no worker has started.
type waiting struct {
	worker   string    // id of the worker that runs the build; "" while it waits
	checked  time.Time // when the workers were last listed
	reported string
	missed   int // consecutive checks at which the team had neither the job nor a result
}

// How often the team's workers and queue are checked while a build waits, and
// how long a request to the team's server may take.
const (
	workerCheckInterval = 5 * time.Second
	answerTimeout       = 5 * time.Second
)

// Event adds an event of the worker's journal to the build's journal. The
// worker's end of the build is left out, since the result has to be received
// first, and so are its documents, which are not on this computer yet.
func (a *remoteBuild) Event(worker string, e event.Event) error {
	if e.Kind == event.Progress {
		return a.journal.Add(e)
	}
	if err := a.setWorker(worker); err != nil {
		return err
	}
	switch e.Kind {
	case event.StepStarted, event.StepSkipped, event.StepFinished, event.Note:
		return a.journal.Add(e)
	}
	return nil
}

// setWorker records which worker has started the build. It returns an error if
// this home does not accept the worker's key, since its result could not be
// used.
func (a *remoteBuild) setWorker(worker string) error {
	if worker == a.waits.worker {
		return nil
	}
	if a.b.WorkerKeys[worker] == nil {
		return cause.With("team.worker-unknown", fmt.Errorf("worker %s runs the build, but its key is not listed under team.workers in %s: add the key (`ingot workers` prints it) and submit the build again", worker, a.b.Home.ConfigFile()))
	}
	a.waits.worker = worker
	a.note("runs at worker %s", a.workerName(worker))
	return nil
}

// workerName returns the worker's host name and id, or the id alone if the list
// of workers cannot be read.
func (a *remoteBuild) workerName(worker string) string {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	all, _ := a.station.Workers(ctx) // an error leaves the list empty
	for _, w := range all {
		if w.ID == worker {
			return fmt.Sprintf("%.64q (%s)", w.Host, worker)
		}
	}
	return worker
}

// Log writes a part of a worker's log at its offset; the part may have been
// written before. If the stream has lost an earlier part, this one is left out:
// the whole log comes with the result.
func (a *remoteBuild) Log(c team.Chunk) error {
	if err := a.setWorker(c.Worker); err != nil {
		return err
	}
	if !build.HasLog(c.Step) {
		return nil // not a step of a build
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

// ConnectionChanged adds a note to the journal when the team's server becomes
// unreachable (err), or is reachable again (nil).
func (a *remoteBuild) ConnectionChanged(err error) error {
	if err == nil {
		a.note("the team's server is reachable again")
		return nil
	}
	a.note("%v; the worker continues without the server", err)
	return nil
}

// Idle adds a note about what a waiting build waits for. It returns a
// *remote.GivenUpError when the team has lost the build.
func (a *remoteBuild) Idle(ctx context.Context) error {
	if time.Since(a.waits.checked) < workerCheckInterval {
		return nil
	}
	a.waits.checked = time.Now()
	if a.waits.worker == "" {
		if all, err := a.station.Workers(ctx); err == nil {
			if why := noWorkerReason(all, a.order, time.Now()); why != a.waits.reported {
				a.waits.reported = why
				if why != "" {
					a.note("waiting: %s", why)
				}
			}
		}
	}
	if queued, err := a.station.Queue.Holds(ctx, a.job.ID); err != nil || queued {
		a.waits.missed = 0
		return nil //nolint:nilerr // ConnectionChanged reports an unreachable server
	}
	if a.waits.missed++; a.waits.missed < 3 { // the result may not be stored yet
		return nil
	}
	return &remote.GivenUpError{Build: a.job.ID}
}

// noWorkerReason explains why no worker runs the order, or returns "" if a live
// worker can run it.
func noWorkerReason(all []team.Worker, o team.Order, now time.Time) string {
	want := fmt.Sprintf("no worker runs ingot %s with a guest for %s", o.Version, o.Arch)
	var seen []string
	for _, w := range all {
		switch {
		case !w.Live(now):
			seen = append(seen, fmt.Sprintf("%.64q has sent no heartbeat since %s", w.Host, w.Seen.Format(time.TimeOnly)))
		case w.Can(o):
			return ""
		default:
			seen = append(seen, fmt.Sprintf("%.64q runs version %.32q and builds %.64q", w.Host, w.Version, strings.Join(w.Builds, ", ")))
		}
	}
	if len(seen) == 0 {
		return want + ": there are no workers; `ingot worker` starts one"
	}
	return want + ": " + strings.Join(seen, "; ")
}
