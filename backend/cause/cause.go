// Package cause says why something failed.
//
// A cause is a stable id with a meaning and a fix. Rules find a cause in the
// stderr of QEMU or in a guest's serial log; they are data, the rule pack in
// resources/causes, each proved by a real log that it must match. A log that
// fits no rule has no cause: the package never guesses.
package cause

import (
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"ingot/resources"
)

// Source says which stream a text came from.
type Source string

// Sources.
const (
	Stderr Source = "stderr" // QEMU's own messages
	Serial Source = "serial" // the guest's console
)

// Rule is one entry of the pack. A rule without All and End is named by code.
type Rule struct {
	ID    string   `yaml:"id" json:"id"`
	In    Source   `yaml:"in" json:"in,omitempty"`
	All   []string `yaml:"all" json:"all,omitempty"`
	None  []string `yaml:"none" json:"none,omitempty"`
	End   string   `yaml:"end" json:"end,omitempty"`
	Means string   `yaml:"means" json:"means"`
	Fix   string   `yaml:"fix" json:"fix"`
	Fatal bool     `yaml:"fatal" json:"fatal,omitempty"` // no boot goes on after it
	Class string   `yaml:"class" json:"-"`               // of errors with this cause; "" is that of a step

	// Parent is the id of a wider cause, which this one names more exactly.
	Parent string `yaml:"parent" json:"parent,omitempty"`
	// Stage is how far a boot has come with this cause; see stage. "" is the first word
	// of ID.
	Stage string `yaml:"stage" json:"-"`

	// Like and Unlike are texts that the rule must and must not fit.
	Like   []string `yaml:"like" json:"-"`
	Unlike []string `yaml:"unlike" json:"-"`

	all, none []pattern
	end       pattern
	stage     stage
}

// Finding is a cause found in a text.
type Finding struct {
	ID    string `json:"id"`
	Line  string `json:"line"` // the line that matched
	Means string `json:"means"`
	Fix   string `json:"fix"`

	Parent string `json:"parent,omitempty"` // a wider cause; see Rule
	File   string `json:"file,omitempty"`   // of a folder or an archive: the file with the line
}

// Pack is the compiled rule pack.
type Pack struct {
	Version int    `yaml:"version"`
	Rules   []Rule `yaml:"rules"`
}

// Load compiles a pack from a file of fsys.
func Load(fsys fs.FS, name string) (*Pack, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("rule pack: %w", err)
	}
	var p Pack
	if err := yaml.UnmarshalWithOptions(data, &p, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("rule pack %s: %w", name, err)
	}
	for i := range p.Rules {
		if err := p.Rules[i].compile(); err != nil {
			return nil, fmt.Errorf("rule pack %s: rule %s: %w", name, p.Rules[i].ID, err)
		}
	}
	return &p, nil
}

func (r *Rule) compile() (err error) {
	if r.Class != "" && !slices.Contains(classNames, r.Class) {
		return fmt.Errorf("class %q is not known; accepted: %s", r.Class, strings.Join(classNames, ", "))
	}
	known := true
	if r.stage, known = stageNames[cmp.Or(r.Stage, strings.SplitN(r.ID, ".", 2)[0])]; !known && r.Stage != "" {
		return fmt.Errorf("stage %q is not known", r.Stage)
	}
	if r.all, err = compileAll(r.All); err != nil {
		return err
	}
	if r.none, err = compileAll(r.None); err != nil {
		return err
	}
	if r.End != "" {
		r.end, err = compilePattern(r.End)
	}
	return err
}

func compileAll(patterns []string) ([]pattern, error) {
	var out []pattern
	for _, p := range patterns {
		re, err := compilePattern(p)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// Shipped is the pack that comes with the program.
var Shipped = sync.OnceValues(func() (*Pack, error) { return Load(resources.FS, "causes/rules.yaml") })

// Find returns the first rule that fits the text.
func (p *Pack) Find(in Source, text string) (Finding, bool) {
	return p.findIn(in, text, anyRule)
}

// FindFatal returns the first cause that fits a console's text if a rule fits after
// which no boot goes on. That rule may tell of a consequence only: GRUB's prompt of
// the disk that it could not read.
func (p *Pack) FindFatal(text string) (Finding, bool) {
	if _, ok := p.findIn(Serial, text, func(r *Rule) bool { return r.Fatal }); !ok {
		return Finding{}, false
	}
	return p.Find(Serial, text)
}

func anyRule(*Rule) bool { return true }

func (p *Pack) findIn(in Source, text string, counts func(*Rule) bool) (Finding, bool) {
	l := output{lines: Lines(text)}
	if in == Serial {
		l = console(l.lines)
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.In != in || !counts(r) {
			continue
		}
		if line, ok := r.match(l); ok {
			return r.finding(line), true
		}
	}
	return Finding{}, false
}

func (r *Rule) finding(line string) Finding {
	return Finding{ID: r.ID, Line: line, Means: r.Means, Fix: r.Fix, Parent: r.Parent}
}

// all returns what every rule finds, in the pack's order: causes before their
// consequences. A cause is listed once, and so is a line.
func (p *Pack) all(in Source, l output) (found []Finding) {
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.In != in {
			continue
		}
		line, ok := r.match(l)
		known := func(f Finding) bool { return f.ID == r.ID || f.Line == line }
		if ok && !slices.ContainsFunc(found, known) {
			found = append(found, r.finding(line))
		}
	}
	return found
}

// notice are words of QEMU that name no failure.
var notice = lazy(`^\S+: (warning|info): `)

// match returns the first line that fits the first pattern.
func (r *Rule) match(l output) (matched string, ok bool) {
	if r.end != nil && (len(l.lines) == 0 || !r.end.match(l.lines[len(l.lines)-1])) {
		return "", false
	}
	last := -1
	for i, re := range r.all {
		if i > 0 {
			if _, found := first(l.lines, re); !found {
				return "", false
			}
			continue
		}
		for n := l.from; n < len(l.lines); n++ {
			line := l.lines[n]
			if !re.match(line) || r.In == Stderr && notice().MatchString(line) {
				continue
			}
			if last < 0 {
				matched = line
			}
			last = n
		}
		if last < 0 {
			return "", false
		}
	}
	for _, re := range r.none {
		if _, found := first(l.lines, re); found {
			return "", false
		}
	}
	if len(r.all) == 0 || r.stage != anyStage && wentOn(l.lines[last+1:], r.stage) {
		return "", false
	}
	return matched, true
}

func first(lines []string, re pattern) (string, bool) {
	for _, l := range lines {
		if re.match(l) {
			return l, true
		}
	}
	return "", false
}

// Describe returns meaning and fix of a cause id; ok is false for an id that
// the pack does not hold.
func (p *Pack) Describe(id string) (Finding, bool) {
	for i := range p.Rules {
		if p.Rules[i].ID == id {
			return p.Rules[i].finding(""), true
		}
	}
	return Finding{}, false
}

// How loggers write a moment: ISO 8601's way, and syslog's.
const (
	isoTime    = `\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:?\d\d)?`
	syslogTime = `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d `
)

var (
	ansi = lazy("\x1b\\][^\x07\x1b]*(\x07|\x1b\\\\)|\x1b\\[[0-9;=?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78cM]")
	// what kernels, loggers and Packer put before a line
	prefixes = lazy(`^((<\d+>)?\[\s*\d+\.\d+\]\s?(\[\s*[TC]\d+\]\s?)?` +
		`|` + isoTime + `:?\s` +
		`|\[` + isoTime + `\]\s` +
		`|` + syslogTime +
		`|\[?\d\d:\d\d:\d\d([.,]\d+)?\]?\s` +
		`|packer-\S+ plugin: |Qemu std(err|out): |qemu\[std(err|out)\]: ` +
		`|\d{10}\.\d+\s|[\w.-]+\s+\| |\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d \d{4}\]\s)`)
	// syslogHost is syslog's time and host before a program's name; what follows a
	// time alone, as ts(1) writes it, is the line itself
	syslogHost = lazy(`^` + syslogTime + `[\w.-]+ ([\w./@-]+(?:\[\d+\])?: )`)
	// cursor addressing starts a new line on a screen-oriented firmware console
	// a progress line is written over the one before: what follows is a line of its own
	overwritten = lazy("\\r(?:\x1b\\[[0-9;]*[mK])+|\x1b\\[K\\r")
	position    = lazy("\x1b\\[\\d+;\\d+H")
)

// lazy returns a function that compiles an expression at its first call: most commands
// read no log, and need none of them.
func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// CleanLine removes ANSI codes, control characters, and the times and names
// that kernels and loggers put before a line.
func CleanLine(line string) string {
	line = ansi().ReplaceAllString(line, "")
	line = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return -1
		}
		return r
	}, line)
	if m := syslogHost().FindStringSubmatchIndex(line); m != nil {
		line = strings.TrimPrefix(line[m[2]:], "kernel: ")
	}
	for {
		rest := prefixes().ReplaceAllString(line, "")
		if rest == line {
			return line
		}
		line = rest
	}
}

// Lines cleans a text and returns its lines that are not empty.
func Lines(text string) []string {
	text = position().ReplaceAllString(text, "\n")
	text = overwritten().ReplaceAllString(text, "\n")
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if l = CleanLine(l); strings.TrimSpace(l) != "" {
			out = append(out, l)
		}
	}
	return out
}

func joinLines(lines []string) string { return strings.Join(lines, "\n") }
