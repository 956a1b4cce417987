// Package sanitise holds the rules of what is taken out of a running system before its
// disk becomes an image, and applies them: rules are data (resources/sanitise), what is
// more than files is a function of a family's script, and the interpreter is a POSIX
// shell script, which needs no program that a small system lacks.
//
// A rule that the recipe's choice keeps, and an optional rule that it does not ask for,
// are only measured: the report names them as what stays.
package sanitise

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/resources"
)

// Rules are what is taken out of one kind of system.
type Rules struct {
	Homes []string `yaml:"homes"` // patterns of people's home folders
	Rules []Rule   `yaml:"rules"`
	Stays []Stay   `yaml:"stays"`

	digest string
}

// Rule takes one kind of thing out; resources/sanitise/linux.yaml describes the fields.
type Rule struct {
	ID       string   `yaml:"id"`
	What     string   `yaml:"what"`
	Optional bool     `yaml:"optional"`
	Always   bool     `yaml:"always"`
	Remove   []string `yaml:"remove"`
	Empty    []string `yaml:"empty"`
	Below    []string `yaml:"below"`
	Cut      []Cut    `yaml:"cut"`
	Call     string   `yaml:"call"`
}

// Cut deletes the lines of a file that one of sed's addresses selects.
type Cut struct {
	File  string   `yaml:"file"`
	Lines []string `yaml:"lines"`
}

// Stay is what is measured and left where it is.
type Stay struct {
	ID   string   `yaml:"id"`
	What string   `yaml:"what"`
	Why  string   `yaml:"why"`
	Find []string `yaml:"find"`
}

// Item is what one rule found.
type Item = evidence.SanitisedItem

// Choice is what a recipe says about the rules, by their ids.
type Choice struct {
	Keep []string `yaml:"keep,omitempty" json:"keep,omitempty"` // not taken out
	Also []string `yaml:"also,omitempty" json:"also,omitempty"` // optional, and taken out
}

// linux are the rules for Linux, which every row of a VM's target needs.
var linux = sync.OnceValues(func() (*Rules, error) { return load("linux") })

// For returns the rules for a system, like "linux". They must not be changed.
func For(system string) (*Rules, error) {
	if system == "linux" {
		return linux()
	}
	return load(system)
}

func load(system string) (*Rules, error) {
	name := "sanitise/" + system + ".yaml"
	data, err := resources.FS.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("there are no rules of what to take out of the system %s: %w", system, err)
	}
	var r Rules
	if err := yaml.UnmarshalWithOptions(data, &r, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.Sum256(data)
	r.digest = hex.EncodeToString(sum[:])
	return &r, nil
}

// Digest returns the SHA-256 of the rules and of their interpreter.
func (r *Rules) Digest() string {
	sum := sha256.Sum256([]byte(r.digest + interpreter))
	return hex.EncodeToString(sum[:])
}

// Check returns what is wrong with a choice: a sentence for each id.
func (r *Rules) Check(c Choice) (problems []string) {
	of := func(ids []string, fits func(Rule) bool, no string) {
		var accepted []string
		for _, rule := range r.Rules {
			if fits(rule) {
				accepted = append(accepted, rule.ID)
			}
		}
		for _, id := range ids {
			if !slices.Contains(accepted, id) {
				problems = append(problems, fmt.Sprintf("%q %s; accepted: %s", id, no, strings.Join(accepted, ", ")))
			}
		}
	}
	of(c.Keep, func(r Rule) bool { return !r.Always && !r.Optional }, "cannot be kept")
	of(c.Also, func(r Rule) bool { return r.Optional }, "is not a rule that is only applied on request")
	return problems
}

// applies reports whether the choice takes out what the rule is for.
func (c Choice) applies(r Rule) bool {
	if r.Optional {
		return slices.Contains(c.Also, r.ID)
	}
	return !slices.Contains(c.Keep, r.ID)
}

//go:embed rules.sh
var interpreter string

// System is a running system to sanitise.
type System struct {
	Guest     guest.Guest
	Functions string // shell functions that the rules call
	Free      string // passed to the functions, see family.FreeBlocks
	Log       io.Writer
}

// Measure counts what Apply would take out, and changes nothing.
func (r *Rules) Measure(ctx context.Context, s System, c Choice) (evidence.Sanitised, error) {
	return r.run(ctx, s, "list", c)
}

// Apply takes out what the rules name, as far as the choice says so. It needs root, or
// `sudo -n`. Afterwards no account can log in. An error names what could not be taken out,
// in the log.
func (r *Rules) Apply(ctx context.Context, s System, c Choice) (evidence.Sanitised, error) {
	return r.run(ctx, s, "remove", c)
}

// table returns the rules as lines for the interpreter. What is not applied is only
// measured.
func (r *Rules) table(c Choice, mode string) string {
	var b strings.Builder
	line := func(fields ...string) { b.WriteString(strings.Join(fields, "\t") + "\n") }
	all := func(verb string, args []string) {
		for _, a := range args {
			line(verb, a)
		}
	}
	all("home", r.Homes)
	for _, rule := range r.Rules {
		line("rule", rule.ID)
		remove := rule.Remove
		if mode == "list" || !c.applies(rule) { // nothing is counted twice
			remove = slices.DeleteFunc(slices.Clone(remove), func(p string) bool {
				return slices.ContainsFunc(rule.Below, func(dir string) bool { return strings.HasPrefix(p, dir+"/") })
			})
		}
		if !c.applies(rule) && mode != "list" {
			for _, patterns := range [][]string{remove, rule.Empty, rule.Below} {
				all("find", patterns)
			}
			continue
		}
		if rule.Call != "" {
			line("call", rule.Call)
		}
		all("remove", remove)
		all("empty", rule.Empty)
		all("below", rule.Below)
		for _, cut := range rule.Cut {
			var script []string
			for _, address := range cut.Lines {
				script = append(script, address+"d")
			}
			line("cut", cut.File, strings.Join(script, ";"))
		}
	}
	for _, s := range r.Stays {
		line("rule", s.ID)
		all("find", s.Find)
	}
	return b.String()
}

func (r *Rules) run(ctx context.Context, s System, mode string, c Choice) (evidence.Sanitised, error) {
	var out bytes.Buffer
	err := s.Guest.Run(ctx, guest.Cmd{Argv: guest.AsRoot("sh", "-c", s.Functions+"\n"+interpreter, "sanitise", mode, s.Free), Stdin: strings.NewReader(r.table(c, mode)), Stdout: &out, Stderr: s.Log})
	if err != nil {
		return evidence.Sanitised{}, err
	}
	return r.report(out.String(), c)
}

// found is the prefix of a line of the report.
const found = "ingot-found"

// report reads the interpreter's report. A rule that it does not mention was not applied,
// which is an error.
func (r *Rules) report(text string, c Choice) (s evidence.Sanitised, err error) {
	counts := map[string][2]int64{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 || f[0] != found {
			continue
		}
		files, err1 := strconv.ParseInt(f[2], 10, 64)
		size, err2 := strconv.ParseInt(f[3], 10, 64)
		if err1 != nil || err2 != nil {
			return s, fmt.Errorf("the report of the rules has the line %q", line)
		}
		counts[f[1]] = [2]int64{files, size}
	}
	s.Rules = r.Digest()
	for _, rule := range r.Rules {
		n, ok := counts[rule.ID]
		if !ok {
			return s, fmt.Errorf("the rule %s was not applied: its report has %d of %d lines", rule.ID, len(counts), len(r.Rules)+len(r.Stays))
		}
		item := Item{Rule: rule.ID, What: rule.What, Files: n[0], Size: n[1]}
		switch {
		case c.applies(rule):
			s.Removed = append(s.Removed, item)
			continue
		case rule.Optional:
			item.Why = "it is taken out only if sanitise.also names " + rule.ID
		default:
			item.Why = "sanitise.keep names " + rule.ID
		}
		s.Stays = append(s.Stays, item)
	}
	for _, stay := range r.Stays {
		n, ok := counts[stay.ID]
		if !ok {
			return s, fmt.Errorf("%s was not measured", stay.ID)
		}
		s.Stays = append(s.Stays, Item{Rule: stay.ID, What: stay.What, Why: stay.Why, Files: n[0], Size: n[1]})
	}
	return s, nil
}
