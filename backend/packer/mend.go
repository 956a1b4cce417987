package packer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/rogpeppe/go-internal/diff"

	"ingot/backend/home"
)

// Change is a file of the template with the fixes of findings applied.
type Change struct {
	File          string `json:"file"`
	Before, After []byte `json:"-"`
	Diff          string `json:"diff"` // unified
}

// Mended is the result of Mend.
type Mended struct {
	Changes []Change
	Fixed   []Finding  // applied
	After   *Diagnosis // of the changed template; its Findings are those that are left
}

// maxRounds is how many findings are fixed one after the other: each fix is followed by a
// new diagnosis, since one may make another one possible, or needless.
const maxRounds = 40

// Mend applies the fixes of findings to a copy of the template's files, in memory. It
// changes no file; Write does.
func Mend(ctx context.Context, opt Options) (*Mended, error) {
	p, err := choosePlatform(ctx, opt)
	if err != nil {
		return nil, err
	}
	opt.Log = "" // the log is of the template before the change
	contents := map[string][]byte{}
	before := map[string][]byte{}
	m := &Mended{}
	tried := map[string]bool{}
	for range maxRounds {
		d, err := diagnose(ctx, opt, p, nil, contents)
		if err != nil {
			return nil, err
		}
		if m.After == nil {
			for file, src := range d.read.Files {
				before[file], contents[file] = src, src
			}
		}
		m.After = d
		f, ok := nextFix(d.Findings, tried)
		if !ok {
			break
		}
		tried[f.key()] = true
		if after, ok := apply(f, d, contents[f.sourceFile(d)]); ok {
			contents[f.sourceFile(d)] = after
			m.Fixed = append(m.Fixed, f)
		}
	}
	for _, file := range sortedKeys(before) {
		if !bytes.Equal(before[file], contents[file]) {
			m.Changes = append(m.Changes, Change{File: file, Before: before[file], After: contents[file], Diff: string(diff.Diff(file, before[file], file, contents[file]))})
		}
	}
	return m, nil
}

// nextFix returns the finding to fix next: in the order of the rules, since what a machine
// is decides what its processor can be.
func nextFix(findings []Finding, tried map[string]bool) (next Finding, ok bool) {
	for _, f := range findings {
		if f.Fixable && !tried[f.key()] && (!ok || f.rank < next.rank) {
			next, ok = f, true
		}
	}
	return next, ok
}

// key names a finding over several rounds, in which lines move.
func (f Finding) key() string { return f.Machine + " " + f.ID + " " + f.Written }

// sourceFile is the file of the finding's machine.
func (f Finding) sourceFile(d *Diagnosis) string {
	for _, s := range d.read.Sources {
		if sourceName(s) == f.Machine {
			return s.Body.Filename
		}
	}
	return ""
}

// apply makes the edits of a finding.
func apply(f Finding, d *Diagnosis, src []byte) (after []byte, ok bool) {
	file, diags := hclwrite.ParseConfig(src, f.File, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, false
	}
	for _, b := range file.Body().Blocks() {
		if l := b.Labels(); b.Type() != "source" || len(l) != 2 || "qemu."+l[1] != f.Machine || l[0] != "qemu" {
			continue
		}
		for _, e := range f.edits {
			if !e(b.Body()) {
				return nil, false
			}
		}
		after = file.BuildTokens(nil).Bytes() // File.Bytes would align the lines of the whole file
		if _, diags := hclwrite.ParseConfig(after, f.File, hcl.InitialPos); diags.HasErrors() {
			return nil, false // a block on one line cannot take a second argument
		}
		return after, true
	}
	return nil, false
}

func sortedKeys(m map[string][]byte) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Write writes the changed files, each in one step. A file that has changed since it was
// read is left alone, with an error.
func (m *Mended) Write() error {
	for _, c := range m.Changes {
		now, err := os.ReadFile(c.File)
		if err != nil {
			return fmt.Errorf("write the fixed template: %w", err)
		}
		if !bytes.Equal(now, c.Before) {
			return fmt.Errorf("write the fixed template: %s has changed in the meantime", c.File)
		}
		path, err := filepath.EvalSymlinks(c.File)
		if err != nil {
			return fmt.Errorf("write the fixed template: %w", err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("write the fixed template: %w", err)
		}
		if err := home.WriteFileAtomic(path, c.After, info.Mode().Perm()); err != nil {
			return fmt.Errorf("write the fixed template: %w", err)
		}
	}
	return nil
}
