// Package leak looks for what an image must not give away: secrets, and traces
// of the machine and the people that it was used by.
//
// A scan reads a disk, from its bytes alone and without mounting anything, in
// two ways. The files of each ext4 file system are judged by path and content.
// And all allocated bytes of the disk, whatever lies there, are searched for
// what keys and tokens look like; a hit is then given its place: a live file, a
// deleted one, the journal, or a byte of a file system that is not read here.
// What is compressed or encrypted inside a file is not seen.
//
// Rules are data, resources/leaks. A finding names a kind and a place, never
// what lies there.
package leak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ingot/backend/disk"
	"ingot/backend/disk/ext4"
	"ingot/backend/evidence"
)

// maxFindings is how many findings a report lists.
const maxFindings = 500

// Scan reads the whole source. progress, which may be nil, gets bytes of the
// disk done and in all. A disk without partitions, or with file systems that
// are not read, is scanned by its bytes and the report says so.
func (p *Pack) Scan(ctx context.Context, src disk.Source, progress func(done, total int64)) (*evidence.Leaks, error) {
	s := &scan{pack: p, src: src, out: &evidence.Leaks{Rules: p.Version, RulesDigest: p.digest, Findings: []evidence.Leak{}}, seen: map[string]bool{}}
	parts, err := partitions(src)
	if err != nil {
		return nil, fmt.Errorf("leak scan: %w", err)
	}
	for _, part := range parts {
		if err := s.open(ctx, part); err != nil {
			return nil, fmt.Errorf("leak scan: %s: %w", part.name, err)
		}
	}
	hits, err := s.search(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("leak scan: %w", err)
	}
	for _, h := range hits {
		if err := s.place(h); err != nil {
			return nil, fmt.Errorf("leak scan: %w", err)
		}
	}
	for _, a := range s.areas {
		s.out.Areas = append(s.out.Areas, a.LeakArea)
	}
	return s.finish(), nil
}

// scan is one scan at work.
type scan struct {
	pack  *Pack
	src   disk.Source
	out   *evidence.Leaks
	areas []*area
	seen  map[string]bool // rule and place: told once
}

// unread is what is told of a file system that a machine's own files may lie in and
// that is not read here: nobody can say that they are not.
var unread = &Rule{ID: "leak.unread", Severity: evidence.LeakBlocks, Title: "a file system whose files cannot be judged", Fix: "use ext4 without encryption for what is given away"}

// holdsFiles are the names of sniff for file systems, and what holds some.
var holdsFiles = map[string]bool{"ext4": true, "btrfs": true, "xfs": true, "LUKS, encrypted": true, "LVM": true, "UFS": true}

// area is a partition with the file system in it, where that is read.
type area struct {
	evidence.LeakArea
	part   partition
	fs     *ext4.FS
	owners *ext4.Owners
	paths  map[int64]string // of live files, by inode
	gone   map[int64]string // of deleted ones
	owned  map[string]bool  // files of packages; nil: there is no list
}

// open looks into a partition and judges its files.
func (s *scan) open(ctx context.Context, part partition) error {
	a := &area{LeakArea: evidence.LeakArea{Name: part.name, FileSystem: "unknown"}, part: part, paths: map[int64]string{}, gone: map[int64]string{}}
	s.areas = append(s.areas, a)
	fs, err := ext4.Open(section{s.src, part.start}, part.length)
	if err != nil {
		a.FileSystem, a.Note = sniff(s.src, part), "searched by its bytes alone"
		if !errors.Is(err, ext4.ErrNotExt4) {
			a.FileSystem, a.Note = "ext4", fmt.Sprintf("searched by its bytes alone: %v", err)
		}
		if holdsFiles[a.FileSystem] {
			s.report(unread, evidence.Leak{Area: a.Name, In: "file system", Path: a.FileSystem + " in " + a.Name})
		}
		return nil
	}
	a.fs, a.FileSystem = fs, "ext4"
	if fs.Dirty() {
		a.Note = "its journal was not yet written back: files are seen as of before that"
	}
	if err := s.walk(ctx, a); err != nil {
		return err
	}
	a.owners, err = fs.Owners()
	return err
}

// report adds a finding unless the same rule was told of the same place.
func (s *scan) report(r *Rule, f evidence.Leak) {
	key := strings.Join([]string{r.ID, f.Area, f.In, f.Path}, "\x00")
	if f.Path == "" {
		key += strconv.FormatInt(f.Offset>>20, 10) // one for each MiB is enough
	}
	told := f.Area + "\x00" + f.Path // a live file that a rule blocks is told once
	if s.seen[key] || f.In == "file" && s.seen[told] {
		return
	}
	s.seen[key] = true
	s.seen[told] = s.seen[told] || f.In == "file" && r.Severity == evidence.LeakBlocks
	f.Rule, f.Title, f.Fix = r.ID, r.Title, r.Fix
	if f.Severity == "" {
		f.Severity = r.Severity
	}
	s.out.Findings = append(s.out.Findings, f)
}

// finish sorts: what blocks first, then by place.
func (s *scan) finish() *evidence.Leaks {
	slices.SortStableFunc(s.out.Findings, func(a, b evidence.Leak) int {
		if a.Severity != b.Severity {
			return strings.Compare(a.Severity, b.Severity) // blocks comes before note
		}
		return strings.Compare(a.Where(), b.Where())
	})
	if n := len(s.out.Findings); n > maxFindings {
		s.out.Findings, s.out.More = s.out.Findings[:maxFindings], n-maxFindings
	}
	return s.out
}

// section is a partition's bytes.
type section struct {
	src   disk.Source
	start int64
}

func (s section) ReadAt(p []byte, off int64) (int, error) { return s.src.ReadAt(p, s.start+off) }

// printable makes a path fit for a terminal: names on a disk may hold anything.
func printable(path string) string {
	for _, r := range path {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			q := strconv.QuoteToASCII(path)
			return q[1 : len(q)-1]
		}
	}
	return path
}
