package window

import (
	"context"
	"fmt"
	"sync"

	"ingot/app/feed"
	"ingot/backend/api"
	"ingot/backend/doctor"
)

// mending installs what this computer lacks. It belongs to the window: it goes on while
// another page is shown, and ends when it is cancelled or the window is closed. Its
// methods run on the main goroutine, except note.
type mending struct {
	w         *Window
	changed   func() // shows the fields below; nil while no page does
	running   bool
	cancelled bool
	ended     bool  // at least one has ended, with err
	err       error // nil after one that was cancelled
	cancel    context.CancelFunc

	mu    sync.Mutex
	last  string // line of output
	drawn bool   // last is shown, or about to be
}

// start begins to install, unless that runs already.
func (m *mending) start() {
	if m.running {
		return
	}
	ctx, cancel := context.WithCancel(m.w.ctx)
	m.running, m.cancelled, m.ended, m.err, m.cancel = true, false, false, nil, cancel
	m.note("")
	m.w.do(func(context.Context) error {
		defer cancel()
		_, err := m.w.backend.Mend(ctx, m.note)
		return err
	}, func(err error) {
		m.running, m.ended, m.err = false, true, err
		if m.cancelled {
			m.err = nil
		}
		if m.changed == nil { // another page is shown
			m.w.showStatus(m.err, m.outcome())
		}
		m.w.examine()
		m.show()
	})
	m.show()
}

// outcome describes the end of one that did not fail.
func (m *mending) outcome() string {
	if m.cancelled {
		return "Cancelled: what was installed before stays."
	}
	return "The installation has ended."
}

// stop cancels what runs. It ends later: a package manager that is changing the system
// goes on until that is done.
func (m *mending) stop() {
	if m.running {
		m.cancelled = true
		m.cancel()
		m.show()
	}
}

func (m *mending) show() {
	if m.changed != nil {
		m.changed()
	}
}

// note takes a line of output, from any goroutine. Lines that come faster than they can be
// drawn replace each other.
func (m *mending) note(line string) {
	m.mu.Lock()
	m.last = line
	queued := m.drawn
	m.drawn = true
	m.mu.Unlock()
	if !queued {
		m.w.main(func() {
			m.mu.Lock()
			m.drawn = false
			m.mu.Unlock()
			if m.w.ctx.Err() == nil {
				m.show()
			}
		})
	}
}

// line returns the last line of output.
func (m *mending) line() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// firstRun looks once for what this computer lacks if nothing was built in this home
// yet. An error is not shown here: Settings asks again and shows it.
func (w *Window) firstRun(s feed.State) {
	if w.looked || !s.Live || built(s) {
		return
	}
	w.looked = true
	first := false
	var rep doctor.Report
	w.do(func(ctx context.Context) (err error) {
		for _, r := range s.Rows {
			if builds, err := w.backend.Builds(r.Target); err != nil || len(builds) > 0 {
				return err
			}
		}
		rep, err = w.backend.Doctor(ctx)
		first = err == nil
		return err
	}, func(error) {
		if first {
			w.first = true
			w.examined(rep)
			w.update()
		}
	})
}

// lacks tells how much this computer lacks.
func (w *Window) lacks() string {
	things := fmt.Sprintf("%d things", w.missing)
	if w.missing == 1 {
		things = "1 thing"
	}
	return "This computer lacks " + things + " that building and booting needs."
}

// built reports whether a build was begun in this home, as far as the rows tell.
func built(s feed.State) bool {
	for _, r := range s.Rows {
		for _, c := range r.Cells()[1:] { // the first one is of the recipe
			if c.Cell.State != api.Unknown {
				return true
			}
		}
	}
	return len(s.Builds) > 0
}

// examined keeps what this computer lacks, for the first page.
func (w *Window) examined(r doctor.Report) { w.report, w.missing = r, len(r.Missing()) }

// examine looks again for what this computer lacks, after an installation.
func (w *Window) examine() {
	var rep doctor.Report
	w.do(func(ctx context.Context) (err error) { rep, err = w.backend.Doctor(ctx); return err }, func(err error) {
		if err == nil {
			w.examined(rep)
			w.mending.show()
		}
	})
}
