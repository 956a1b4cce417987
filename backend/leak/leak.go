// Package leak finds data that must not be in a published image: secrets, and
// traces of the machine and the people that used it.
//
// A scan reads a disk without mounting it, in two ways. The files of each ext4
// file system are checked by path and content. And all allocated bytes of the
// disk are searched for text that looks like keys and tokens; each hit is then
// located: in a file, in a deleted file, in the journal, or in a file system
// that the scan cannot read. Compressed or encrypted content is not searched.
//
// The rules are data, in resources/leaks. A finding has a kind and a place,
// never the content.
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
	"ingot/backend/disk/files"
	"ingot/backend/evidence"
)

// maxFindings is the largest number of findings that a report lists.
const maxFindings = 500

// ShippedID returns the version and digest of the shipped rules, or why they cannot be
// read: an input of the steps that scan.
func ShippedID() string {
	pack, err := Shipped()
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return pack.ID()
}

// ScanFile searches a disk image, qcow2 or raw and without a backing file, by the shipped
// rules. An image that cannot be read is an error with its cause. progress may be nil.
func ScanFile(ctx context.Context, file string, progress func(done, total int64)) (*evidence.Leaks, error) {
	pack, err := Shipped()
	if err != nil {
		return nil, err
	}
	src, err := disk.Open(file)
	if err != nil {
		return nil, disk.WithCause(err)
	}
	defer src.Close()
	return pack.Scan(ctx, src, progress)
}

// Scan reads the whole source. progress, which may be nil, gets the number of
// bytes of the disk done and in total. If the disk has no partitions, or file
// systems that cannot be read, its bytes are searched and the report says so.
func (p *Pack) Scan(ctx context.Context, src disk.Source, progress func(done, total int64)) (*evidence.Leaks, error) {
	s := &scan{pack: p, src: src, out: &evidence.Leaks{Rules: p.Version, RulesDigest: p.digest, Findings: []evidence.Leak{}}, seen: map[string]bool{}}
	for e, err := range src.Extents() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("leak scan: %w", err)
		}
		s.extents = append(s.extents, e)
	}
	parts, err := files.Partitions(src)
	if err != nil {
		return nil, fmt.Errorf("leak scan: %w", err)
	}
	for _, part := range parts {
		if err := s.open(ctx, part); err != nil {
			return nil, fmt.Errorf("leak scan: %s: %w", part.Name, err)
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

// scan is the state of a scan.
type scan struct {
	pack    *Pack
	src     disk.Source
	extents []disk.Extent // of src
	out     *evidence.Leaks
	areas   []*area
	seen    map[string]bool // rule and place of the reported findings
}

// unreadRule is the rule for a file system that cannot be read: its files
// cannot be checked, and may contain private data.
var unreadRule = &Rule{ID: evidence.LeakUnread, Severity: evidence.LeakBlocks, Title: "a file system whose files cannot be checked", Fix: "use ext4 without encryption, or publish with --unscanned, which marks the release as unscanned"}

// searched are the results of sniff for areas that have no private files, or
// have their files uncompressed, so that the search of all bytes is sufficient.
// All other areas block, including those of unknown type.
var searched = map[string]bool{"vfat": true, "swap": true, "iso9660": true, "empty": true, "boot code": true}

// area is a partition, with its file system if that can be read.
type area struct {
	evidence.LeakArea
	part   files.Partition
	fs     *ext4.FS
	owners *ext4.Owners
	paths  map[int64]string // of live files, by inode
	gone   map[int64]string // of deleted ones
	owned  map[string]bool  // files of packages; nil if there is no list
}

// open reads a partition and checks its files.
func (s *scan) open(ctx context.Context, part files.Partition) error {
	a := &area{LeakArea: evidence.LeakArea{Name: part.Name, FileSystem: "unknown"}, part: part, paths: map[int64]string{}, gone: map[int64]string{}}
	s.areas = append(s.areas, a)
	fs, err := ext4.Open(part.Reader(s.src), part.Length, part.Stored(s.extents)...)
	if err != nil {
		name, serr := sniff(s.src, part)
		if serr != nil {
			return serr
		}
		if name == "unknown" && part.Boot {
			name = "boot code"
		}
		a.FileSystem, a.Note = name, "searched by its bytes alone"
		if !errors.Is(err, ext4.ErrNotExt4) {
			a.FileSystem, a.Note = "ext4", fmt.Sprintf("searched by its bytes alone: %v", err)
		}
		if !searched[a.FileSystem] {
			s.report(unreadRule, evidence.Leak{Area: a.Name, In: "file system", Path: a.FileSystem + " in " + a.Name})
		}
		return nil
	}
	a.fs, a.FileSystem = fs, "ext4"
	if fs.Dirty() {
		a.Note = "its journal was not replayed: files are read as they were before"
	}
	if err := s.walk(ctx, a); err != nil {
		return err
	}
	if a.owners, err = fs.Owners(); errors.Is(err, ext4.ErrExcess) {
		s.excess(a)
		return nil
	}
	return err
}

// excess reports a file system that refers to more than its image holds. Not all
// of its files were seen, so it blocks.
func (s *scan) excess(a *area) {
	a.Note = "it refers to more than its image holds: not all of its files were seen"
	s.report(unreadRule, evidence.Leak{Area: a.Name, In: "file system", Path: a.FileSystem + " in " + a.Name})
}

// report adds a finding unless the same rule was reported for the same place.
func (s *scan) report(r *Rule, f evidence.Leak) {
	key := strings.Join([]string{r.ID, f.Area, f.In, f.Path}, "\x00")
	if f.Path == "" {
		key += strconv.FormatInt(f.Offset>>20, 10) // at most one finding per MiB
	}
	reportedKey := f.Area + "\x00" + f.Path // a file with a blocking finding is reported once
	if s.seen[key] || f.In == "file" && s.seen[reportedKey] {
		return
	}
	s.seen[key] = true
	s.seen[reportedKey] = s.seen[reportedKey] || f.In == "file" && r.Severity == evidence.LeakBlocks
	f.Rule, f.Title, f.Fix = r.ID, r.Title, r.Fix
	if f.Severity == "" {
		f.Severity = r.Severity
	}
	s.out.Findings = append(s.out.Findings, f)
}

// finish sorts the findings: blocking ones first, then by place.
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

// printable makes a path safe for a terminal: names on a disk may contain any
// bytes.
func printable(path string) string {
	for _, r := range path {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			q := strconv.QuoteToASCII(path)
			return q[1 : len(q)-1]
		}
	}
	return path
}
