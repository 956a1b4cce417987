// Package run runs the user's own Packer on a template, keeps its log, and says how it
// ended: with the reason of a failure, or with the disks that were built.
//
// Prepare looks at the template and at Packer; Start runs `packer build` in a process
// group of its own. When Packer has ended, nothing of the group is left. A success of
// Packer counts only if the disk of each build is there and can be read as one.
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
	"ingot/backend/event"
	"ingot/backend/packer"
	"ingot/backend/packer/template"
)

// Options are what a run is asked.
type Options struct {
	Path     string   // a file *.pkr.hcl, or a folder of them
	Vars     []string // NAME=VALUE, as packer build -var
	VarFiles []string // as packer build -var-file
	Args     []string // further arguments of packer build
	Anyway   bool     // run Packer although the template cannot work
	Color    bool     // let Packer colour its output

	Data     string // the folder in which the folders of runs are
	Children event.Children

	grace time.Duration                // how long an interrupted Packer may clean up; 0 is stopGrace
	look  func(string) (string, error) // finds a program; nil is home.LookTool
}

// Run is a run that was prepared.
type Run struct {
	Options
	Packer Program
	// Before is the diagnosis of the template; nil if it could not be read.
	Before *packer.Diagnosis
	// Unread is why the template could not be read, where the run goes on all the same.
	Unread error

	root, name string // Packer's working folder, and the template from there
}

// Prepare finds Packer and judges the template. Errors are *ProgramError, and those of
// packer.Diagnose unless Options.Anyway is set.
func Prepare(ctx context.Context, opt Options) (*Run, error) {
	r := &Run{Options: opt}
	info, err := os.Stat(opt.Path)
	if err != nil {
		return nil, &template.Error{Problem: template.Problem{Text: err.Error()}}
	}
	path, err := filepath.Abs(opt.Path)
	if err != nil {
		return nil, fmt.Errorf("packer run: %w", err)
	}
	if r.root, r.name = path, "."; !info.IsDir() {
		r.root, r.name = filepath.Dir(path), filepath.Base(path)
	}
	r.VarFiles = slices.Clone(opt.VarFiles)
	for i, f := range opt.VarFiles {
		if r.VarFiles[i], err = filepath.Abs(f); err != nil {
			return nil, fmt.Errorf("packer run: %w", err)
		}
	}
	if r.Packer, err = findProgram(ctx, opt.look); err != nil {
		return nil, err
	}
	if r.Before, err = packer.Diagnose(ctx, r.question("")); err != nil && !opt.Anyway {
		return nil, err
	}
	r.Unread = err
	return r, nil
}

// question is what packer.Diagnose is asked. Values of variables count wherever they are
// given: here, or among Packer's own arguments.
func (r *Run) question(log string) packer.Options {
	q := packer.Options{Path: r.Path, Vars: slices.Clone(r.Vars), VarFiles: slices.Clone(r.VarFiles), Log: log}
	for name, value := range flagsOf(r.Args) {
		switch name {
		case "var":
			q.Vars = append(q.Vars, value)
		case "var-file":
			if !filepath.IsAbs(value) {
				value = filepath.Join(r.root, value)
			}
			q.VarFiles = append(q.VarFiles, value)
		}
	}
	return q
}

// valued are the flags of packer build that are followed by a value.
var valued = []string{"var", "var-file", "only", "except", "on-error", "parallel-builds"}

// flagsOf iterates over flags of packer build and their values. Packer accepts -NAME VALUE
// and -NAME=VALUE, with one dash or two.
func flagsOf(args []string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for i := 0; i < len(args); i++ {
			name, dashed := strings.CutPrefix(args[i], "-")
			name, value, given := strings.Cut(strings.TrimPrefix(name, "-"), "=")
			if !dashed {
				continue
			}
			if !given && slices.Contains(valued, name) && i+1 < len(args) {
				i++
				value = args[i]
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

// has reports whether one of the flags is among Packer's arguments.
func (r *Run) has(flags ...string) bool {
	for name := range flagsOf(r.Args) {
		if slices.Contains(flags, name) {
			return true
		}
	}
	return false
}

// slow are findings that do not keep a machine from starting and from being installed.
var slow = []string{"packer.accel-dropped"}

// Stopped returns the error with which the run ends before Packer is started: Packer
// refuses the template, or QEMU was asked and does not start its machine, or none of its
// machines gets as far as a login. It returns nil with Options.Anyway, and where -only
// or -except leave out builds.
func (r *Run) Stopped() error {
	if r.Before == nil || r.Anyway || r.has("only", "except") {
		return nil
	}
	certain := func(f packer.Finding) bool {
		return f.Certainty == packer.Measured && !slices.Contains(slow, f.ID)
	}
	if r.Before.Refused() || slices.ContainsFunc(r.Before.Findings, certain) {
		return &StoppedError{r.Before.Err()}
	}
	return nil
}

// StoppedError is a template with which Packer was not started.
type StoppedError struct{ Found error }

func (e *StoppedError) Error() string {
	return e.Found.Error() + ": Packer was not started; --anyway starts it"
}
func (e *StoppedError) Unwrap() error { return e.Found }

// arguments are those of Packer. A value of a variable may be a secret: they are not
// printed.
func (r *Run) arguments() []string {
	args := []string{"build"}
	if !r.Color && !r.has("color") {
		args = append(args, "-color=false")
	}
	for _, v := range r.Vars {
		args = append(args, "-var", v)
	}
	for _, f := range r.VarFiles {
		args = append(args, "-var-file", f)
	}
	return append(append(args, r.Args...), r.name)
}

// newFolder makes the folder of a run, named by the time.
func newFolder(data string, now time.Time) (string, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", fmt.Errorf("packer run: %w", err)
	}
	for n := 1; ; n++ {
		name := now.UTC().Format("20060102-150405")
		if n > 1 {
			name += fmt.Sprintf("-%d", n)
		}
		folder := filepath.Join(data, name)
		err := os.Mkdir(folder, 0o700)
		if err == nil {
			return folder, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("packer run: %w", err)
		}
	}
}

// FailedError is a failure of Packer for which its log shows no known reason.
type FailedError struct {
	Exit    string // how Packer ended
	Message string // what Packer wrote; "" if it wrote no reason
	Log     string
}

func (e *FailedError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("packer build failed (%s) and gave no reason: its log is %s", e.Exit, e.Log)
	}
	return fmt.Sprintf("packer build failed (%s): %s", e.Exit, e.Message)
}

// CauseID names the cause.
func (*FailedError) CauseID() string { return "packer.failed" }

// ErrorClass sorts the error; see package cause.
func (*FailedError) ErrorClass() cause.Class { return cause.Step }

// CancelledError is a run whose context ended.
type CancelledError struct{ Cause error }

func (e *CancelledError) Error() string { return "packer run was cancelled: " + e.Cause.Error() }
func (e *CancelledError) Unwrap() error { return e.Cause }

// ErrorClass sorts the error; see package cause.
func (*CancelledError) ErrorClass() cause.Class { return cause.Cancelled }
