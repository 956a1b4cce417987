// Package cause says why something failed.
//
// A cause is a stable id with a meaning and a fix. Rules find a cause in the
// stderr of QEMU or in a guest's serial log; they are data, the rule pack in
// resources/causes, each proved by a real log that it must match. A log that
// fits no rule has no cause: the package never guesses.
package cause

import (
	"fmt"
	"io/fs"
	"regexp"
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

	// Like and Unlike are texts that the rule must and must not fit.
	Like   []string `yaml:"like" json:"-"`
	Unlike []string `yaml:"unlike" json:"-"`

	all, none []*regexp.Regexp
	end       *regexp.Regexp
}

// Finding is a cause found in a text.
type Finding struct {
	ID    string `json:"id"`
	Line  string `json:"line"` // the line that told
	Means string `json:"means"`
	Fix   string `json:"fix"`
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
	if r.all, err = compileAll(r.All); err != nil {
		return err
	}
	if r.none, err = compileAll(r.None); err != nil {
		return err
	}
	if r.End != "" {
		r.end, err = regexp.Compile(r.End)
	}
	return err
}

func compileAll(patterns []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range patterns {
		re, err := regexp.Compile(p)
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
	return p.findIn(in, Lines(text), anyRule)
}

// FindFatal returns the first rule after which no boot goes on that fits a
// console's text.
func (p *Pack) FindFatal(text string) (Finding, bool) {
	return p.findIn(Serial, Lines(text), func(r *Rule) bool { return r.Fatal })
}

func anyRule(*Rule) bool { return true }

func (p *Pack) findIn(in Source, lines []string, counts func(*Rule) bool) (Finding, bool) {
	l := said{lines, lines}
	if in == Serial {
		l = console(lines)
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.In != in || !counts(r) {
			continue
		}
		if line, ok := r.match(l); ok {
			return Finding{ID: r.ID, Line: line, Means: r.Means, Fix: r.Fix}, true
		}
	}
	return Finding{}, false
}

// said is a text's lines, and those of them that may tell a cause.
type said struct{ lines, telling []string }

// console is what a guest said. Only the lines after its last login prompt can
// tell a cause: a system that came up was not kept from it by what it had said
// before.
func console(lines []string) said {
	for i := len(lines) - 1; i >= 0; i-- {
		if isPrompt(lines[i]) {
			return said{lines, lines[i+1:]}
		}
	}
	return said{lines, lines}
}

// match returns the line that told: the first that fits the first pattern.
func (r *Rule) match(l said) (told string, ok bool) {
	for i, re := range r.all {
		where := l.lines
		if i == 0 {
			where = l.telling
		}
		line, found := first(where, re)
		if !found {
			return "", false
		}
		if i == 0 {
			told = line
		}
	}
	for _, re := range r.none {
		if _, found := first(l.lines, re); found {
			return "", false
		}
	}
	if r.end != nil && (len(l.lines) == 0 || !r.end.MatchString(l.lines[len(l.lines)-1])) {
		return "", false
	}
	return told, len(r.all) > 0
}

func first(lines []string, re *regexp.Regexp) (string, bool) {
	for _, l := range lines {
		if re.MatchString(l) {
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
			return Finding{ID: id, Means: p.Rules[i].Means, Fix: p.Rules[i].Fix}, true
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
	ansi = regexp.MustCompile("\x1b\\][^\x07\x1b]*(\x07|\x1b\\\\)|\x1b\\[[0-9;=?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78cM]")
	// what kernels, loggers and Packer put before a line
	prefixes = regexp.MustCompile(`^((<\d+>)?\[\s*\d+\.\d+\]\s?(\[\s*[TC]\d+\]\s?)?` +
		`|` + isoTime + `:?\s` +
		`|\[` + isoTime + `\]\s` +
		`|` + syslogTime +
		`|\[?\d\d:\d\d:\d\d([.,]\d+)?\]?\s` +
		`|packer-\S+ plugin: |Qemu std(err|out): )`)
	// syslogHost is syslog's time and host before a program's name; what follows a
	// time alone, as ts(1) writes it, is the line itself
	syslogHost = regexp.MustCompile(`^` + syslogTime + `[\w.-]+ ([\w./@-]+(?:\[\d+\])?: )`)
	// cursor addressing starts a new line on a screen-oriented firmware console
	position = regexp.MustCompile("\x1b\\[\\d+;\\d+H")
)

// CleanLine removes ANSI codes, control characters, and the times and names
// that kernels and loggers put before a line.
func CleanLine(line string) string {
	line = ansi.ReplaceAllString(line, "")
	line = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return -1
		}
		return r
	}, line)
	if m := syslogHost.FindStringSubmatchIndex(line); m != nil {
		line = strings.TrimPrefix(line[m[2]:], "kernel: ")
	}
	for {
		rest := prefixes.ReplaceAllString(line, "")
		if rest == line {
			return line
		}
		line = rest
	}
}

// Lines cleans a text and returns its lines that are not empty.
func Lines(text string) []string {
	text = position.ReplaceAllString(text, "\n")
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if l = CleanLine(l); strings.TrimSpace(l) != "" {
			out = append(out, l)
		}
	}
	return out
}
