package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/fetch"
	"ingot/backend/packer"
	"ingot/backend/packer/log"
	"ingot/backend/packer/platform"
)

// Outcome is how a run ended.
type Outcome struct {
	Folder   string            `json:"folder"` // of the run's files
	Log      string            `json:"log"`    // of Packer, in that folder
	Packer   string            `json:"packer"` // version
	Ended    string            `json:"ended,omitempty"`
	Passed   bool              `json:"passed"`
	After    *packer.Diagnosis `json:"diagnosis,omitempty"` // of a failure, with Packer's log
	Disks    []Disk            `json:"disks"`
	Problems []string          `json:"problems,omitempty"` // builds without a disk, or with one that is none
}

// Disk is a disk that was built.
type Disk struct {
	Build       string `json:"build"`
	Path        string `json:"path"`
	Format      string `json:"format"`
	Bytes       int64  `json:"bytes"`       // of the file
	VirtualSize int64  `json:"virtualSize"` // that the guest sees, bytes
	SHA256      string `json:"sha256"`
	Arch        string `json:"arch,omitempty"` // of the guest, as Go names it; "" is not known
	Evidence    string `json:"evidence,omitempty"`
	Verdict     string `json:"verdict,omitempty"` // of its boot, with Evidence
}

// NoDiskError is a success of Packer without a disk, or with a file that is none.
type NoDiskError struct{ Problems []string }

func (e *NoDiskError) Error() string {
	return "packer build succeeded, but " + strings.Join(e.Problems, "; ")
}

// CauseID names the cause.
func (*NoDiskError) CauseID() string { return "packer.no-disk" }

// ErrorClass sorts the error; see package cause.
func (*NoDiskError) ErrorClass() cause.Class { return cause.Unproven }

// Start runs Packer and gives each line of its output to line, from one goroutine. An
// Outcome is returned with an error too, once Packer was started. Errors are
// *packer.FoundError where the log shows the reason of a failure, *FailedError,
// *NoDiskError, *UnkillableError, *CancelledError, and those of files.
func (r *Run) Start(ctx context.Context, line func(string)) (*Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, &CancelledError{context.Cause(ctx)}
	}
	began := time.Now()
	folder, err := newFolder(r.Data, began)
	if err != nil {
		return nil, err
	}
	o := &Outcome{Folder: folder, Log: filepath.Join(folder, "packer.log"), Packer: r.Packer.Version, Disks: []Disk{}}
	if o.Ended, err = r.process(ctx, folder, line); err != nil {
		return o, err
	}
	if ctx.Err() != nil {
		return o, &CancelledError{context.Cause(ctx)}
	}
	l, err := log.ReadFile(o.Log)
	if errors.Is(err, os.ErrNotExist) {
		l, err = &log.Log{}, nil // Packer ended before it wrote one
	}
	if err != nil {
		return o, err
	}
	if o.Ended != "" {
		return o, r.failed(ctx, o, l)
	}
	return o, r.succeeded(ctx, o, l, began)
}

// failed sets the diagnosis of a failure and returns its error.
func (r *Run) failed(ctx context.Context, o *Outcome, l *log.Log) error {
	question := r.question(o.Log)
	if _, err := os.Stat(o.Log); err != nil {
		question.Log = ""
	}
	if d, err := packer.Diagnose(ctx, question); err == nil {
		o.After = d
	}
	if o.After != nil && len(l.Causes()) > 0 && len(o.After.Findings) > 0 {
		return o.After.Err()
	}
	return &FailedError{Exit: o.Ended, Message: r.message(o, l), Log: o.Log}
}

// message is Packer's own reason: of the builds, or the first error of its output.
func (r *Run) message(o *Outcome, l *log.Log) string {
	if errs := l.Errors(); len(errs) > 0 {
		return strings.Join(errs, "; ")
	}
	message, err := log.FirstError(filepath.Join(o.Folder, "output.log"))
	if err != nil {
		return ""
	}
	return message
}

// succeeded finds the disks of a success.
func (r *Run) succeeded(ctx context.Context, o *Outcome, l *log.Log, began time.Time) error {
	for _, m := range r.made(l) {
		d, err := r.disk(ctx, m, began)
		if ctx.Err() != nil {
			return &CancelledError{context.Cause(ctx)}
		}
		if err != nil {
			o.Problems = append(o.Problems, m.build+": "+err.Error())
			continue
		}
		o.Disks = append(o.Disks, d)
	}
	if len(o.Problems) == 0 && len(o.Disks) == 0 {
		o.Problems = []string{"no build of the builder qemu made a file"}
	}
	if len(o.Problems) > 0 {
		return &NoDiskError{o.Problems}
	}
	o.Passed = true
	return nil
}

// made is a build that Packer has finished.
type made struct {
	build     string
	predicted string   // path of its disk from the template; "" is not known
	files     []string // of its artifact
	listed    bool     // Packer's log has listed the artifact
	arch      string
}

// made returns the finished builds of the builder qemu: those that Packer's log lists, or
// those of the template where the log lists none.
func (r *Run) made(l *log.Log) (out []made) {
	machines := []packer.CommandLine{}
	if r.Before != nil {
		machines = r.Before.Machines
	}
	for _, a := range l.Artifacts() {
		_, name, isQEMU := strings.Cut("."+a.Build, ".qemu.")
		if !isQEMU {
			continue
		}
		at := slices.IndexFunc(out, func(m made) bool { return m.build == a.Build })
		if at < 0 {
			at = len(out)
			out = append(out, made{build: a.Build, listed: true})
		}
		out[at].files = append(out[at].files, a.Files...)
		for _, m := range machines {
			if m.Build == name {
				out[at].predicted, out[at].arch = m.Disk, platform.GuestArch(m.Argv[0])
			}
		}
	}
	if len(l.Artifacts()) > 0 {
		return out
	}
	for _, m := range machines {
		if m.Build != "" {
			out = append(out, made{build: "qemu." + m.Build, predicted: m.Disk, arch: platform.GuestArch(m.Argv[0])})
		}
	}
	return out
}

// inRoot returns a path that Packer writes as one of this process.
func (r *Run) inRoot(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.root, path)
}

// disk finds and reads the disk of a build. The file that the template predicts comes
// first. Another file of the artifact counts only if it is the only one that is a disk.
func (r *Run) disk(ctx context.Context, m made, began time.Time) (Disk, error) {
	var files []string
	for _, f := range m.files {
		if p := r.inRoot(f); !slices.Contains(files, p) {
			files = append(files, p)
		}
	}
	if p := r.inRoot(m.predicted); m.predicted != "" && (!m.listed || slices.Contains(files, p)) {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return Disk{}, fmt.Errorf("its disk is not there: %w", err)
		case info.ModTime().Before(began.Add(-mtimeStep)):
			return Disk{}, fmt.Errorf("%s was not written by this run: it is of %s", p, info.ModTime().Format(time.DateTime))
		}
		return readDisk(ctx, m, p)
	}
	if !m.listed {
		return Disk{}, errors.New("the template does not tell where its disk is, and Packer's log lists no files")
	}
	var disks []string
	var why error
	for _, f := range files {
		if _, err := disk.Inspect(f); err == nil {
			disks = append(disks, f)
		} else {
			why = err
		}
	}
	switch {
	case len(files) == 0:
		return Disk{}, errors.New("no file of it is in what Packer lists")
	case len(disks) == 0 && len(files) == 1:
		return Disk{}, fmt.Errorf("its file is no disk: %w", why)
	case len(disks) == 0:
		return Disk{}, fmt.Errorf("none of its %d files is a disk: %s", len(files), strings.Join(files, ", "))
	case len(disks) > 1:
		return Disk{}, fmt.Errorf("which of its disks is the first is not known: %s", strings.Join(disks, ", "))
	}
	return readDisk(ctx, m, disks[0])
}

// mtimeStep is the coarsest step of a file system's times that is met: two seconds on FAT.
const mtimeStep = 2 * time.Second

// readDisk describes a disk.
func readDisk(ctx context.Context, m made, path string) (Disk, error) {
	info, err := disk.Inspect(path)
	if err != nil {
		return Disk{}, fmt.Errorf("its file is no disk: %w", err)
	}
	digest, err := fetch.DigestOf(ctx, path, nil)
	if err != nil {
		return Disk{}, err
	}
	return Disk{Build: m.build, Path: path, Format: info.Format, Bytes: info.FileSize, VirtualSize: info.VirtualSize, SHA256: digest, Arch: m.arch}, nil
}

// Message is a line of `packer run --json`.
type Message struct {
	At        time.Time         `json:"at"`
	Kind      Kind              `json:"kind"`
	Text      string            `json:"text,omitempty"`
	Diagnosis *packer.Diagnosis `json:"diagnosis,omitempty"`
	Outcome   *Outcome          `json:"outcome,omitempty"`
}

// Kind is the kind of a Message.
type Kind string

// Kinds.
const (
	Diagnosed Kind = "diagnosis" // the look at the template, before Packer is started
	Printed   Kind = "line"      // a line of Packer's output
	Proving   Kind = "proof"     // the boot of a disk goes on
	Ended     Kind = "end"       // the last message
)
