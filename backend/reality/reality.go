// Package reality folds facts into the table of targets.
//
// Derive is a pure function from facts – evidence, journals, live processes,
// the files' digests, the host's versions – to a Row of six cells. No status is
// stored anywhere: delete the evidence and the row says Unknown. Unknown is
// the zero value of a State, and only signed evidence makes a cell Passed.
package reality

import (
	"fmt"
	"strings"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
)

// State is what is known of a cell.
type State int

// States. A cell is Stale when it was proved with inputs that changed since.
const (
	Unknown State = iota
	Running
	Passed
	Failed
	Cancelled
	Stale
)

var stateNames = []string{"unknown", "running", "passed", "failed", "cancelled", "stale"}

func (s State) String() string { return stateNames[s] }

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(b []byte) error {
	for i, n := range stateNames {
		if n == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no state", b)
}

// Cell is one answer with the evidence for it.
type Cell struct {
	State    State     `json:"state"`
	Evidence string    `json:"evidence,omitempty"` // id; the reader can look it up
	At       time.Time `json:"at,omitzero"`
	Cause    string    `json:"cause,omitempty"`
	Message  string    `json:"message,omitempty"`
	Note     string    `json:"note,omitempty"` // "local only", "unproven"
}

// Row is what is known of one target.
type Row struct {
	Target     string `json:"target"`
	Title      string `json:"title"`
	Configured Cell   `json:"configured"`
	Guest      Cell   `json:"guest"`
	Kernel     Cell   `json:"kernel"`
	Exported   Cell   `json:"exported"`
	Boots      Cell   `json:"boots"`
	Published  Cell   `json:"published"`
}

// Cells lists the six in order with their names.
func (r Row) Cells() []struct {
	Name string
	Cell Cell
} {
	type named = struct {
		Name string
		Cell Cell
	}
	return []named{{"configured", r.Configured}, {"guest", r.Guest}, {"kernel", r.Kernel}, {"exported", r.Exported}, {"boots", r.Boots}, {"published", r.Published}}
}

// Facts is all that a row is made of.
type Facts struct {
	Title    string
	Evidence []evidence.Document // oldest first
	Journals []Journal           // oldest first
	Current  Inputs
	Host     Host
	Files    map[string]File // artifacts by their path in the evidence
}

// Inputs are what a build would use now. Err is why there is nothing to use.
type Inputs struct {
	Recipe, Lock         string // digests
	KernelKey, ImageKey  string // input keys of the steps
	ErrCause, ErrMessage string
}

// Host is the QEMU that a proof would use now; empty when there is none, which
// makes nothing stale.
type Host struct{ QEMU, Firmware string }

// File is what lies on disk where an artifact should be.
type File struct {
	SHA256  string
	Missing bool
}

// Journal is one build's events and whether its process lives.
type Journal struct {
	Build  string
	Live   bool
	Events []event.Event
}

// Derive folds the facts into a row.
func Derive(target string, f Facts) Row {
	r := Row{Target: target, Title: f.Title}
	r.Configured = f.configured()
	r.Guest = f.newest(evidence.KindGuest)
	r.Kernel = f.kernel()
	art, doc := f.artifact()
	r.Exported = f.exported(art, doc)
	r.Boots = f.boots(art, doc)
	r.Published = f.published(doc)
	f.running(&r)
	return r
}

// last returns the newest document of the kinds that fits, or nil.
func (f Facts) last(fits func(evidence.Document) bool, kinds ...evidence.Kind) *evidence.Document {
	for i := len(f.Evidence) - 1; i >= 0; i-- {
		for _, k := range kinds {
			if f.Evidence[i].Head.Kind == k && (fits == nil || fits(f.Evidence[i])) {
				return &f.Evidence[i]
			}
		}
	}
	return nil
}

// newest is the cell of the newest document of a kind as it stands.
func (f Facts) newest(k evidence.Kind) Cell { return cellOf(f.last(nil, k)) }

// cellOf judges one document: what cannot be believed is Failed with the cause
// of the disbelief; a pass counts only when it is signed.
func cellOf(d *evidence.Document) Cell {
	if d == nil {
		return Cell{}
	}
	c := Cell{Evidence: d.ID, At: d.Head.At}
	switch d.Trust {
	case evidence.Tampered, evidence.Foreign:
		c.State, c.Cause, c.Message = Failed, d.ProblemCause(), d.Problem
		return c
	}
	switch d.Head.Verdict {
	case evidence.Passed:
		if d.Trust == evidence.Signed {
			c.State = Passed
		}
	case evidence.Failed:
		c.State, c.Cause, c.Message = Failed, d.Head.Cause, d.Head.Message
	case evidence.Cancelled:
		c.State, c.Cause, c.Message = Cancelled, d.Head.Cause, d.Head.Message
	}
	return c
}

// stale turns a passed cell stale; others stay.
func (c Cell) stale(cause, message string) Cell {
	if c.State == Passed {
		c.State, c.Cause, c.Message = Stale, cause, message
	}
	return c
}

func (f Facts) configured() Cell {
	if f.Current.ErrCause != "" {
		return Cell{State: Failed, Cause: f.Current.ErrCause, Message: f.Current.ErrMessage}
	}
	d := f.last(nil, evidence.KindConfig)
	c := cellOf(d)
	var doc evidence.Config
	if c.State != Passed || d.Decode(&doc) != nil {
		return c
	}
	switch {
	case doc.Recipe != f.Current.Recipe:
		return c.stale("config.changed", "the recipe has changed since")
	case doc.Lock != f.Current.Lock:
		return c.stale("config.lock-changed", "the lock has changed since")
	}
	return c
}

func (f Facts) kernel() Cell {
	d := f.last(nil, evidence.KindKernel)
	c := cellOf(d)
	if c.State == Passed && d.Head.InputKey != f.Current.KernelKey {
		return c.stale("config.changed", "recipe, lock or kernel configuration have changed since")
	}
	return c
}

// bootable tells whether the document is no archive beside the disk, which has
// an input key of its own.
func bootable(d evidence.Document) bool { return !strings.Contains(d.Head.InputKey, "/") }

// signedBootable tells whether it is a bootable artifact that can be believed.
func signedBootable(d evidence.Document) bool {
	return bootable(d) && d.Trust == evidence.Signed && d.Head.Verdict == evidence.Passed
}

// artifact returns the newest bootable artifact that signed evidence speaks of,
// or nil. A later export that failed takes nothing from it: what booted and
// what was published is still that one.
func (f Facts) artifact() (*evidence.Artifact, *evidence.Document) {
	d := f.last(signedBootable, evidence.KindArtifact)
	if d == nil {
		return nil, nil
	}
	// of several formats of one export, the first is the one that is proved
	for i := range f.Evidence {
		e := &f.Evidence[i]
		if e.Head.Kind == evidence.KindArtifact && signedBootable(*e) && e.Head.Build == d.Head.Build && e.Head.InputKey == d.Head.InputKey {
			d = e
			break
		}
	}
	var a evidence.Artifact
	if d.Decode(&a) != nil {
		return nil, nil
	}
	return &a, d
}

// exported shows the newest of image and artifact documents, since a failure
// of the image step is a failure to export; and a failed export although an
// image was made since, until one is exported.
func (f Facts) exported(a *evidence.Artifact, d *evidence.Document) Cell {
	for _, newest := range []*evidence.Document{f.last(bootable, evidence.KindImage, evidence.KindArtifact), f.last(bootable, evidence.KindArtifact)} {
		if c := cellOf(newest); newest != nil && c.State != Passed {
			return c
		}
	}
	c := cellOf(d)
	if a == nil {
		return c
	}
	if cause, msg := f.fileProblem(a, d); cause != "" {
		return c.stale(cause, msg)
	}
	img := f.last(func(i evidence.Document) bool { return i.Subject().SHA256() == a.ImageDigest }, evidence.KindImage)
	if img == nil || img.Head.InputKey != f.Current.ImageKey {
		return c.stale("config.changed", "recipe, lock or kernel have changed since")
	}
	return c
}

// fileProblem compares the artifact on disk with its evidence.
func (f Facts) fileProblem(a *evidence.Artifact, d *evidence.Document) (cause, message string) {
	have := f.Files[a.File]
	switch {
	case have.Missing:
		return "image.missing", a.Name + " is gone"
	case have.SHA256 != d.Subject().SHA256():
		return "image.digest-changed", a.Name + " has other bytes than the evidence is about"
	}
	return "", ""
}

// boots shows the newest proof of the artifact. Newer ones of other bytes say
// nothing of it, unless they cannot be believed.
func (f Facts) boots(a *evidence.Artifact, d *evidence.Document) Cell {
	newest := f.last(nil, evidence.KindProof)
	c := cellOf(newest)
	if newest == nil || newest.Unbelievable() {
		return c
	}
	if a == nil {
		return c.stale("image.missing", "there is no artifact any more that it is about")
	}
	ours := f.last(func(p evidence.Document) bool { return p.Subject().SHA256() == d.Subject().SHA256() }, evidence.KindProof)
	if ours == nil {
		if c.State == Passed {
			return c.stale("image.digest-changed", "an earlier artifact booted; this one was not tried")
		}
		return Cell{} // a failure of another artifact says nothing of this one
	}
	newest, c = ours, cellOf(ours)
	if cause, msg := f.fileProblem(a, d); cause != "" {
		return c.stale(cause, msg)
	}
	return f.sameHost(c, newest)
}

// sameHost makes a proof stale that another QEMU or firmware made.
func (f Facts) sameHost(c Cell, d *evidence.Document) Cell {
	var p evidence.Proof
	if c.State != Passed || f.Host.QEMU == "" || d.Decode(&p) != nil || len(p.Boots) == 0 {
		return c
	}
	switch last := p.Boots[len(p.Boots)-1]; {
	case last.QEMU != f.Host.QEMU:
		return c.stale("host.qemu-changed", fmt.Sprintf("proved with %q, here is %q", last.QEMU, f.Host.QEMU))
	case last.Firmware != f.Host.Firmware:
		return c.stale("host.firmware-changed", "proved with another firmware file")
	}
	return c
}

func (f Facts) published(d *evidence.Document) Cell {
	newest := f.last(nil, evidence.KindReceipt)
	c := cellOf(newest)
	if c.State != Passed {
		return c
	}
	var r evidence.Receipt
	if newest.Decode(&r) != nil {
		return Cell{}
	}
	var notes []string
	if r.Local {
		notes = append(notes, "local only")
	}
	if !r.Proven {
		notes = append(notes, "unproven")
	}
	c.Note = strings.Join(notes, ", ")
	if d == nil || newest.Subject().SHA256() != d.Subject().SHA256() {
		return c.stale("image.digest-changed", "an earlier artifact is published; this one is not")
	}
	return c
}

// cellOfStep says which cell shows a step.
var cellOfStep = map[string]func(*Row) *Cell{
	"config": func(r *Row) *Cell { return &r.Configured }, "guest": func(r *Row) *Cell { return &r.Guest },
	"kernel": func(r *Row) *Cell { return &r.Kernel }, "rootfs": func(r *Row) *Cell { return &r.Exported },
	"image": func(r *Row) *Cell { return &r.Exported }, "export": func(r *Row) *Cell { return &r.Exported },
	"prove": func(r *Row) *Cell { return &r.Boots }, "publish": func(r *Row) *Cell { return &r.Published },
}

// running marks the cells of steps that a live build has begun and not ended.
func (f Facts) running(r *Row) {
	for _, j := range f.Journals {
		if !j.Live {
			continue
		}
		open := map[string]time.Time{}
		for _, e := range j.Events {
			switch e.Kind {
			case event.StepStarted:
				open[e.Step] = e.At
			case event.StepFinished:
				delete(open, e.Step)
			case event.BuildFinished:
				clear(open)
			}
		}
		for step, at := range open {
			if cell := cellOfStep[step]; cell != nil {
				*cell(r) = Cell{State: Running, At: at, Note: step}
			}
		}
	}
}
