package leak

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"sync"

	"github.com/goccy/go-yaml"

	"ingot/backend/evidence"
	"ingot/resources"
)

// Pack is a compiled set of rules.
type Pack struct {
	Version int         `yaml:"version"`
	Paths   []*pathRule `yaml:"paths"`
	Bytes   []*byteRule `yaml:"bytes"`

	digest string
	index  *needles
}

// Rule has the fields of all rules; resources/leaks/rules.yaml describes them.
type Rule struct {
	ID       string `yaml:"id"`
	Severity string `yaml:"severity"`
	Title    string `yaml:"title"`
	Fix      string `yaml:"fix"`
}

type pathRule struct {
	Rule    `yaml:",inline"`
	Path    string     `yaml:"path"`
	Content string     `yaml:"content"`
	Like    []fileText `yaml:"like"`
	Unlike  []fileText `yaml:"unlike"`

	path, content *regexp.Regexp
}

// fileText is an example file of a rule.
type fileText struct {
	Path string `yaml:"path"`
	Text string `yaml:"text"`
}

type byteRule struct {
	Rule    `yaml:",inline"`
	Needles []string `yaml:"needles"`
	Pattern string   `yaml:"pattern"`
	Unless  string   `yaml:"unless"`
	Like    []string `yaml:"like"`
	Unlike  []string `yaml:"unlike"`

	pattern, unless *regexp.Regexp
}

// Shipped returns the rules that are part of the program.
var Shipped = sync.OnceValues(func() (*Pack, error) { return Load(resources.FS, "leaks/rules.yaml") })

// Load reads and compiles a set of rules.
func Load(fsys fs.FS, name string) (*Pack, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("leak rules: %w", err)
	}
	var p Pack
	if err := yaml.UnmarshalWithOptions(data, &p, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("leak rules %s: %w", name, err)
	}
	sum := sha256.Sum256(data)
	p.digest = hex.EncodeToString(sum[:])
	for _, r := range p.Paths {
		if err := r.compile(); err != nil {
			return nil, fmt.Errorf("leak rules %s: %s: %w", name, r.ID, err)
		}
	}
	for _, r := range p.Bytes {
		if err := r.compile(); err != nil {
			return nil, fmt.Errorf("leak rules %s: %s: %w", name, r.ID, err)
		}
	}
	p.index = newNeedles(p.Bytes)
	return &p, nil
}

// ID identifies the rules: their version and the start of their digest.
func (p *Pack) ID() string { return fmt.Sprintf("%d-%s", p.Version, p.digest[:12]) }

func (r Rule) check() error {
	if r.ID == "" || r.Title == "" || r.Fix == "" || r.Severity != evidence.LeakBlocks && r.Severity != evidence.LeakNote {
		return fmt.Errorf("id %q, title %q, fix %q or severity %q is empty or invalid", r.ID, r.Title, r.Fix, r.Severity)
	}
	return nil
}

func (r *pathRule) compile() (err error) {
	if err := r.check(); err != nil {
		return err
	}
	if r.path, err = regexp.Compile(r.Path); err == nil && r.Content != "" {
		r.content, err = regexp.Compile(r.Content)
	}
	return err
}

func (r *byteRule) compile() (err error) {
	if err := r.check(); err != nil {
		return err
	}
	for _, n := range r.Needles {
		if len(n) < shortest {
			return fmt.Errorf("needle %q is shorter than %d bytes", n, shortest)
		}
	}
	if len(r.Needles) == 0 || r.Pattern == "" {
		return errors.New("the rule has no needles or no pattern")
	}
	if r.pattern, err = regexp.Compile(r.Pattern); err == nil && r.Unless != "" {
		r.unless, err = regexp.Compile(r.Unless)
	}
	return err
}

// fits reports whether a file whose content starts with content is a finding.
func (r *pathRule) fits(path string, content []byte) bool {
	return r.path.MatchString(path) && len(content) > 0 && (r.content == nil || r.content.Match(content))
}

// fits reports whether a match of the rule's pattern includes the byte at.
func (r *byteRule) fits(window []byte, at int) bool {
	for _, m := range r.pattern.FindAllIndex(window, 64) {
		if m[0] <= at && at < m[1] {
			return r.unless == nil || !r.unless.Match(window[m[0]:m[1]])
		}
	}
	return false
}

// contains reports whether the rule finds something in a text.
func (r *byteRule) contains(text []byte) bool {
	for _, n := range r.Needles {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(n))
			if i < 0 {
				break
			}
			if r.fits(text, from+i) {
				return true
			}
			from += i + 1
		}
	}
	return false
}
