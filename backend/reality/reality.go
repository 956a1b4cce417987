// Package reality derives the table of targets.
//
// Derive is a pure function from facts – evidence, journals, running processes,
// the files' digests, the host's versions – to a Row of six cells. No status is
// stored: if the evidence is deleted, the row is Unknown. Unknown is the zero
// value of State, and only signed evidence makes a cell Passed.
package reality

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ingot/backend/event"
	"ingot/backend/evidence"
)

// State is the state of a cell.
type State int

// States of a cell. Stale means that the inputs of a pass have changed since.
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

// MarshalText returns the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses a state's name.
func (s *State) UnmarshalText(b []byte) error {
	for i, n := range stateNames {
		if n == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not a state", b)
}

// Cell is the state of one aspect of a target, and the evidence for it.
type Cell struct {
	State    State     `json:"state"`
	Evidence string    `json:"evidence,omitempty"` // id of the document
	At       time.Time `json:"at,omitzero"`
	Cause    string    `json:"cause,omitempty"`
	Message  string    `json:"message,omitempty"`
	Note     string    `json:"note,omitempty"` // "local only", "at … and …", "unproven", "unscanned"
}

// Row is the state of one target.
type Row struct {
	Target     string `json:"target"`
	Title      string `json:"title"`
	Configured Cell   `json:"configured"`
	Guest      Cell   `json:"guest"`
	Kernel     Cell   `json:"kernel"`
	Exported   Cell   `json:"exported"`
	Boots      Cell   `json:"boots"`
	Published  Cell   `json:"published"`
	// BootedIn are the machines that are known, and whether the artifact booted in them.
	// The first one is QEMU, with the state of Boots; nil without an artifact.
	BootedIn []Machine `json:"bootedIn,omitempty"`
	// PublishedTo are the destinations with a receipt of the artifact's own bytes.
	PublishedTo []Destination `json:"publishedTo,omitempty"`
}

// Equal reports whether two rows are the same.
func (r Row) Equal(o Row) bool {
	return r.Target == o.Target && r.Title == o.Title && slices.Equal(r.Cells(), o.Cells()) && slices.Equal(r.BootedIn, o.BootedIn) && slices.Equal(r.PublishedTo, o.PublishedTo)
}

// Cells returns the six cells in order, with their names.
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

// cellTitles are the names of cells for people, where they differ from those in JSON.
var cellTitles = map[string]string{"configured": "recipe", "guest": "builder", "exported": "disk"}

// CellTitle returns the name of a cell for people, by its name in JSON: table, menu and
// window have the same.
func CellTitle(name string) string {
	if t, ok := cellTitles[name]; ok {
		return t
	}
	return name
}

// Facts is the input of Derive.
type Facts struct {
	Title    string
	Evidence []evidence.Document // oldest first
	Journals []Journal           // oldest first
	Current  Inputs
	Host     Host
	// FileProofs are the proofs of files that no build of the target made, oldest first,
	// such as those by Lima.
	FileProofs []evidence.Document
	Files      map[string]File // artifacts by their path in the evidence
	Now        time.Time       // of the reader; zero notes no document as dated in the future
}

// Inputs are what a build would use now. ErrCause and ErrMessage are set if the
// recipe or lock cannot be used.
type Inputs struct {
	Recipe, Lock         string // digests
	KernelKey, ImageKey  string // input keys of the steps
	ErrCause, ErrMessage string
}

// Host is the QEMU that a proof would use now. If it is empty, no proof becomes
// stale.
type Host struct{ QEMU, Firmware string }

// File is the state of an artifact's file.
type File struct {
	SHA256  string
	Missing bool
}

// Journal is one build's events, and whether its process is running.
type Journal struct {
	Build  string
	Live   bool
	Events []event.Event
}

// Derive derives a target's row from the facts.
func Derive(target string, f Facts) Row {
	r := Row{Target: target, Title: f.Title}
	r.Configured = f.configured()
	r.Guest = f.newest(evidence.KindGuest)
	art, doc := f.artifact()
	r.Kernel = f.kernel(art)
	r.Exported = f.exported(art, doc)
	r.Boots = f.boots(art, doc)
	r.PublishedTo = f.publishedTo(doc)
	r.Published = f.published(doc, r.PublishedTo)
	r.BootedIn = f.bootedIn(doc, r.Boots)
	for _, c := range []*Cell{&r.Configured, &r.Guest, &r.Kernel, &r.Exported, &r.Boots, &r.Published} {
		c.noteFuture(f.Now)
	}
	f.running(&r)
	return r
}

// clockTolerance is how far the time of a document may be ahead of the clock that
// reads it.
const clockTolerance = 2 * time.Minute

// noteFuture notes that the document has a time after now. The time decides nothing:
// documents are ordered by their numbers.
func (c *Cell) noteFuture(now time.Time) {
	if now.IsZero() || !c.At.After(now.Add(clockTolerance)) {
		return
	}
	note := "dated in the future: " + c.At.UTC().Format("2006-01-02 15:04 MST")
	if c.Note != "" {
		note = c.Note + ", " + note
	}
	c.Note = note
}

// last returns the newest document of the kinds for which fits returns true, or
// nil. A nil fits accepts all.
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

// newest returns the cell of the newest document of a kind.
func (f Facts) newest(k evidence.Kind) Cell { return cellOf(f.last(nil, k)) }

// cellOf returns the cell of one document. A document that cannot be trusted is
// Failed, with the reason as the cause. One that is missing, or that the head of the
// ledger does not vouch for, is Unknown: it may have been a pass or a failure. A pass
// counts only if it is signed.
func cellOf(d *evidence.Document) Cell {
	if d == nil {
		return Cell{}
	}
	c := Cell{Evidence: d.ID, At: d.Head.At}
	switch d.Trust {
	case evidence.Tampered, evidence.Foreign:
		c.State, c.Cause, c.Message = Failed, d.ProblemCause(), d.Problem
		if d.Incomplete() {
			c.State = Unknown
		}
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

// stale makes a passed cell Stale and returns other cells unchanged.
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

// kernel returns the cell of the newest kernel. The kernel of a disk that was taken from a
// VM was not built here: the cell is Unknown, and its note says whose it is.
func (f Facts) kernel(a *evidence.Artifact) Cell {
	d := f.last(nil, evidence.KindKernel)
	c := cellOf(d)
	if d == nil && a != nil && a.VM != nil {
		c.Note = "the VM's own, " + a.KernelRelease
	}
	if c.State == Passed && d.Head.InputKey != f.Current.KernelKey {
		return c.stale("config.changed", "recipe, lock or kernel configuration have changed since")
	}
	return c
}

// bootable reports whether the document is about the disk. An archive exported
// beside the disk has an input key with a slash.
func bootable(d evidence.Document) bool { return !strings.Contains(d.Head.InputKey, "/") }

// signedBootable reports whether the document is trustworthy and about a
// bootable artifact.
func signedBootable(d evidence.Document) bool {
	return bootable(d) && d.Trust == evidence.Signed && d.Head.Verdict == evidence.Passed
}

// artifact returns the newest bootable artifact with signed evidence, or nil. A
// later failed export does not replace it, since that artifact is still the one
// that booted or was published.
func (f Facts) artifact() (*evidence.Artifact, *evidence.Document) {
	d := f.last(signedBootable, evidence.KindArtifact)
	if d == nil {
		return nil, nil
	}
	// of several formats of one export, the first one is booted
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

// exported returns the cell of the newest image or artifact document: a failed
// image step means that the export failed. A failed export is shown until a
// later export passes, even if an image was made since.
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

// fileProblem compares the artifact's file with its evidence.
func (f Facts) fileProblem(a *evidence.Artifact, d *evidence.Document) (cause, message string) {
	have := f.Files[a.File]
	switch {
	case have.Missing:
		return "image.missing", a.Name + " is missing"
	case have.SHA256 != d.Subject().SHA256():
		return "image.digest-changed", a.Name + " is not the file that the evidence is about"
	}
	return "", ""
}

// boots returns the cell of the artifact's newest proof. Newer proofs of other
// files are ignored unless they cannot be trusted.
func (f Facts) boots(a *evidence.Artifact, d *evidence.Document) Cell {
	newest := f.last(nil, evidence.KindProof)
	c := cellOf(newest)
	if newest == nil || newest.Unbelievable() {
		return c
	}
	if a == nil {
		return c.stale("image.missing", "the exported file that this proof booted is missing")
	}
	ours := f.last(func(p evidence.Document) bool { return p.Subject().SHA256() == d.Subject().SHA256() }, evidence.KindProof)
	if ours == nil {
		if c.State == Passed {
			return c.stale("image.digest-changed", "an earlier artifact booted; this one has not been booted")
		}
		return Cell{} // the failure is of another artifact
	}
	newest, c = ours, cellOf(ours)
	if cause, msg := f.fileProblem(a, d); cause != "" {
		return c.stale(cause, msg)
	}
	return f.sameHost(c, newest)
}

// sameHost makes a proof stale if it was made with another QEMU or firmware.
func (f Facts) sameHost(c Cell, d *evidence.Document) Cell {
	var p evidence.Proof
	if c.State != Passed || f.Host.QEMU == "" || d.Decode(&p) != nil || len(p.Boots) == 0 {
		return c
	}
	switch last := p.Boots[len(p.Boots)-1]; {
	case last.QEMU != f.Host.QEMU:
		return c.stale("host.qemu-changed", fmt.Sprintf("proved with %q; this computer has %q", last.QEMU, f.Host.QEMU))
	case last.Firmware != f.Host.Firmware:
		return c.stale("host.firmware-changed", "proved with another firmware file")
	}
	return c
}

// published returns the cell of the newest receipt. If the artifact is at several
// destinations, the note names them.
func (f Facts) published(d *evidence.Document, to []Destination) Cell {
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
	switch {
	case len(to) > 1:
		notes = append(notes, "at "+namesOf(to))
	case r.Local:
		notes = append(notes, "local only")
	}
	if !r.Proven {
		notes = append(notes, "unproven")
	}
	if r.Unscanned {
		notes = append(notes, "unscanned")
	}
	c.Note = strings.Join(notes, ", ")
	if d == nil || newest.Subject().SHA256() != d.Subject().SHA256() {
		return c.stale("image.digest-changed", "an earlier artifact is published; this one is not")
	}
	return c
}

// cellOfStep maps a step to the cell that shows it.
var cellOfStep = map[string]func(*Row) *Cell{
	"config": func(r *Row) *Cell { return &r.Configured }, "guest": func(r *Row) *Cell { return &r.Guest },
	"kernel": func(r *Row) *Cell { return &r.Kernel }, "rootfs": func(r *Row) *Cell { return &r.Exported },
	"image": func(r *Row) *Cell { return &r.Exported }, "export": func(r *Row) *Cell { return &r.Exported },
	"prove": func(r *Row) *Cell { return &r.Boots }, "publish": func(r *Row) *Cell { return &r.Published },
}

// running sets the cells of steps that a running build has started and not
// finished.
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
