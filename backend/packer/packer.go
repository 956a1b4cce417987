// Package packer says why a Packer template does not start its virtual machine, and
// changes the template so that it does.
//
// Diagnose reads a template, predicts the command line that the builder qemu gives to
// QEMU, and judges it for a platform: this computer, whose QEMU it asks, or another one
// that resources/packer describes. With a log of Packer it reads first what QEMU wrote,
// then what Packer wrote, and takes the command line of the log for the predicted one.
//
// # What a finding rests on
//
// A Finding has the id of a cause of the rule pack, a position in the template, and how
// certain it is: Measured by QEMU itself, FromSource by the source of the plugin or of
// QEMU's packages, or Likely. A value that is not known – of a variable without a value,
// say – makes the findings impossible that would rest on it; none is guessed.
package packer

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"ingot/backend/cause"
	"ingot/backend/packer/command"
	"ingot/backend/packer/log"
	"ingot/backend/packer/platform"
	"ingot/backend/packer/template"
)

// Certainty is what a finding rests on.
type Certainty string

// Certainties.
const (
	Measured   Certainty = "measured"    // QEMU wrote it, or was asked on this computer
	FromSource Certainty = "from source" // read in the source of the builder, or in that of a package
	Likely     Certainty = "likely"      // depends on what cannot be seen here
)

// Origins of a finding.
const (
	FromTemplate = "template" // the template alone shows it
	FromMachine  = "machine"  // the template and what the platform has
	FromLog      = "log"      // Packer's log
)

// Finding is one reason why a machine does not start, or does not get far.
type Finding struct {
	ID        string    `json:"id"`
	Machine   string    `json:"machine,omitempty"` // the source, qemu.NAME
	File      string    `json:"file,omitempty"`
	Line      int       `json:"line,omitempty"`
	Column    int       `json:"column,omitempty"`
	Written   string    `json:"written,omitempty"` // what is there, or what QEMU gets of it
	Why       string    `json:"why"`
	Fix       string    `json:"fix"`
	Certainty Certainty `json:"certainty"`
	From      string    `json:"from"`
	Fixable   bool      `json:"fixable"` // Fix can be applied by Mend
	LogLine   int       `json:"logLine,omitempty"`

	edits []edit
	rank  int // of its rule
}

// Position returns FILE:LINE:COLUMN, or "" without a file.
func (f Finding) Position() string {
	if f.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

// CommandLine is the command line of QEMU for a machine of the template.
type CommandLine struct {
	Source string   `json:"source"`          // qemu.NAME
	Build  string   `json:"build,omitempty"` // "" where no build uses it
	Argv   []string `json:"argv"`            // values that are not known are "?"
	Logged bool     `json:"logged"`          // Argv is that of the log, not a prediction
	Disk   string   `json:"disk,omitempty"`  // the disk that is built, from the template's folder; "" is not known
}

// Diagnosis is the result for a template.
type Diagnosis struct {
	Template string             `json:"template"`
	Platform string             `json:"platform"`
	DataOf   string             `json:"dataOf,omitempty"` // date of the platform's data; "" where this computer was asked
	Builder  string             `json:"builder"`
	Machines []CommandLine      `json:"machines"`
	Findings []Finding          `json:"findings"`
	Problems []template.Problem `json:"problems,omitempty"` // what Packer refuses, or what was not looked at
	Summary  string             `json:"summary,omitempty"`  // how far the log's machines came
	Changes  []Change           `json:"changes,omitempty"`  // of Mend

	platform *platform.Platform
	read     *template.Template
}

// Refused reports whether Packer does not accept the template.
func (d *Diagnosis) Refused() bool {
	return slices.ContainsFunc(d.Problems, func(p template.Problem) bool { return p.Refused })
}

// FoundError reports that a diagnosis has findings, or that Packer refuses the template.
type FoundError struct {
	Template string
	Findings int
	Refused  bool
}

func (e *FoundError) Error() string {
	switch {
	case e.Findings == 0:
		return e.Template + ": Packer does not accept the template"
	case e.Findings == 1:
		return e.Template + ": 1 finding"
	}
	return fmt.Sprintf("%s: %d findings", e.Template, e.Findings)
}

// ErrorClass sorts the error; see package cause.
func (e *FoundError) ErrorClass() cause.Class {
	if e.Findings == 0 {
		return cause.Input
	}
	return cause.Unproven
}

// Err returns a *FoundError if the diagnosis has findings or Packer refuses the
// template, else nil.
func (d *Diagnosis) Err() error {
	if len(d.Findings) == 0 && !d.Refused() {
		return nil
	}
	return &FoundError{Template: d.Template, Findings: len(d.Findings), Refused: d.Refused()}
}

// Options are what Diagnose is asked.
type Options struct {
	Path     string   // a file *.pkr.hcl, or a folder of them
	Vars     []string // NAME=VALUE
	VarFiles []string
	Log      string // a log of Packer, or ""
	For      string // OS/ARCH of a platform with data, or "" for this computer
}

// Diagnose reads a template and says what is wrong with its machines. Errors are
// *template.Error, *platform.UnknownError and those of files.
func Diagnose(ctx context.Context, opt Options) (*Diagnosis, error) {
	p, err := choosePlatform(ctx, opt)
	if err != nil {
		return nil, err
	}
	var l *log.Log
	if opt.Log != "" {
		if l, err = log.ReadFile(opt.Log); err != nil {
			return nil, err
		}
	}
	return diagnose(ctx, opt, p, l, nil)
}

func choosePlatform(ctx context.Context, opt Options) (*platform.Platform, error) {
	if opt.For != "" {
		return platform.For(opt.For)
	}
	folder := opt.Path
	if info, err := os.Stat(opt.Path); err == nil && !info.IsDir() {
		folder = filepath.Dir(opt.Path)
	}
	return platform.Here(ctx, folder), nil
}

// diagnose is Diagnose for a platform and a log; contents stand in for files.
func diagnose(ctx context.Context, opt Options, p *platform.Platform, l *log.Log, contents map[string][]byte) (*Diagnosis, error) {
	builder, version := builderOf(p, l)
	t, err := template.Load(opt.Path, template.Options{
		Vars: opt.Vars, VarFiles: opt.VarFiles, Env: os.Getenv, OS: p.OS, Version: version, Contents: contents,
	})
	if err != nil {
		return nil, err
	}
	d := &Diagnosis{Template: opt.Path, Platform: p.Title, DataOf: p.Date, Builder: builder.String(), Problems: t.Problems, Findings: []Finding{}, Machines: []CommandLine{}, platform: p, read: t}
	launches := l.Unmatched()
	for _, s := range t.Sources {
		set := command.New(s, builder, p.DevKVM)
		c := command.Predict(set)
		logged := l.Take(set.VMName().Text, len(t.Sources), &launches)
		if logged != nil {
			c = c.Resolved(logged)
		}
		d.Machines = append(d.Machines, CommandLine{Source: sourceName(s), Build: s.Build, Argv: c.Argv(), Logged: logged != nil, Disk: knownText(set.Disk(0))})
		d.add(judge(ctx, set, c, p)...)
	}
	if l != nil {
		d.addLog(l)
	}
	d.order()
	return d, nil
}

// knownText is the text of a field, or "" where it is not known.
func knownText(f command.Field) string {
	if !f.Known() {
		return ""
	}
	return f.Text
}

// builderOf returns the generation of the builder and Packer's version: those of the log,
// or of the platform. Versions before 1.7 have no plugins.
func builderOf(p *platform.Platform, l *log.Log) (command.Builder, string) {
	version := p.Packer
	if l != nil && l.Version != "" {
		version = l.Version
	}
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 && major == 1 && minor < 7 {
		return command.InTree, version
	}
	return command.Plugin, version
}

// add adds findings; one that is there already, for another build of the source, is left
// out.
func (d *Diagnosis) add(findings ...Finding) {
	for _, f := range findings {
		same := func(g Finding) bool {
			return g.ID == f.ID && g.Position() == f.Position() && g.Written == f.Written
		}
		if !slices.ContainsFunc(d.Findings, same) {
			d.Findings = append(d.Findings, f)
		}
	}
}

// addLog adds what the log shows. A finding of the template with the same id becomes one
// of the log, since QEMU has confirmed it.
func (d *Diagnosis) addLog(l *log.Log) {
	d.Summary = l.Summary()
	for _, c := range l.Causes() {
		f := logFinding(c)
		if f.ID == "qemu.failed" && len(d.Findings) > 0 {
			continue // the template shows why
		}
		at := slices.IndexFunc(d.Findings, func(g Finding) bool { return g.ID == f.ID })
		if at < 0 {
			d.Findings = append(d.Findings, f)
			continue
		}
		g := &d.Findings[at]
		g.From, g.Certainty, g.LogLine = FromLog, f.Certainty, f.LogLine
	}
}

// logFinding is the finding for a cause that the log shows.
func logFinding(c log.Cause) Finding {
	f := Finding{ID: c.ID, Written: c.Written, Why: c.Why, Fix: c.Fix, Certainty: Likely, From: FromLog, LogLine: c.Line, File: c.File, Line: c.FileLine, Column: min(1, c.FileLine)}
	if c.Sure {
		f.Certainty = Measured
	}
	return f
}

// order sorts the findings: those of the log first, then by position.
func (d *Diagnosis) order() {
	slices.SortStableFunc(d.Findings, func(a, b Finding) int {
		rank := func(f Finding) int {
			if f.From == FromLog {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.LogLine, b.LogLine), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// at sets the position of a finding.
func (f *Finding) at(r hcl.Range) {
	f.File, f.Line, f.Column = r.Filename, r.Start.Line, r.Start.Column
}

// means returns what the rule pack writes about a cause.
func means(id string) cause.Finding {
	pack, err := cause.Shipped()
	if err != nil {
		return cause.Finding{}
	}
	f, _ := pack.Describe(id)
	return f
}

// sourceName names a source for people.
func sourceName(s template.Source) string { return "qemu." + s.Name }
