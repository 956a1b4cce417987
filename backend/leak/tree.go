package leak

import (
	"context"
	"errors"
	"path"
	"strings"

	"ingot/backend/disk/ext4"
	"ingot/backend/evidence"
)

// headSize is the number of bytes of a file that are matched with a path rule's
// content pattern.
const headSize = 64 << 10

// walk checks all files by path, and stores the paths for findings in raw
// bytes.
func (s *scan) walk(ctx context.Context, a *area) error {
	var lists []ext4.Inode
	for f, err := range a.fs.Walk() {
		if err != nil && !errors.Is(err, ext4.ErrCorrupt) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(err, ext4.ErrExcess) {
			s.excess(a)
			continue
		}
		if err != nil {
			a.Note = "it is damaged: not all of its files were seen"
			continue
		}
		names := a.paths
		if f.Gone {
			names = a.gone
		}
		if _, known := names[f.Inode.Number]; !known && f.Inode.Number != 0 {
			names[f.Inode.Number] = f.Path
		}
		if f.Gone || f.Inode.IsDir() {
			continue
		}
		a.Files++
		if dir, name := path.Split(f.Path); dir == "/var/lib/dpkg/info/" && strings.HasSuffix(name, ".list") {
			lists = append(lists, f.Inode)
		}
		if err := s.judgeFile(a, f); err != nil {
			return err
		}
	}
	return a.readLists(lists)
}

// judgeFile applies the path rules to a file. Only regular files are checked.
func (s *scan) judgeFile(a *area, f ext4.File) error {
	if !f.Inode.IsFile() {
		return nil
	}
	var head []byte
	for _, r := range s.pack.Paths {
		if !r.path.MatchString(f.Path) {
			continue
		}
		if head == nil {
			var err error
			if head, err = a.fs.Read(f.Inode, headSize); err != nil && !errors.Is(err, ext4.ErrCorrupt) {
				return err
			} else if errors.Is(err, ext4.ErrExcess) {
				s.excess(a)
			}
		}
		if r.fits(f.Path, head) {
			s.report(&r.Rule, evidence.Leak{In: "file", Area: a.Name, Path: printable(f.Path)})
		}
	}
	return nil
}

// maxList is the largest size, in bytes, of a package's list of files.
const maxList = 16 << 20

// readLists reads dpkg's lists of the files of packages.
func (a *area) readLists(lists []ext4.Inode) error {
	for _, i := range lists {
		b, err := a.fs.Read(i, maxList)
		if err != nil && !errors.Is(err, ext4.ErrCorrupt) {
			return err
		}
		if a.owned == nil {
			a.owned = map[string]bool{}
		}
		for line := range strings.Lines(string(b)) {
			a.owned[strings.TrimSuffix(line, "\n")] = true
		}
	}
	return nil
}

// fromPackage reports whether the file belongs to a package of the distribution
// and so is public: packages contain keys for their tests and examples. A list
// may name a file below /usr by its path before the /usr merge.
func (a *area) fromPackage(p string) bool {
	if !strings.HasPrefix(p, "/usr/") || strings.HasPrefix(p, "/usr/local/") {
		return false
	}
	return a.owned == nil || a.owned[p] || a.owned[strings.TrimPrefix(p, "/usr")]
}

// leakAt describes what the byte of the area belongs to.
func (a *area) leakAt(off int64) (evidence.Leak, error) {
	if a.fs == nil {
		return evidence.Leak{In: "bytes"}, nil
	}
	w, err := a.owners.At(off)
	if err != nil && !errors.Is(err, ext4.ErrCorrupt) {
		return evidence.Leak{}, err
	}
	live := printable(a.paths[w.Inode])
	switch {
	case w.Free:
		return evidence.Leak{In: "a deleted file", Path: printable(a.gone[w.Inode])}, nil
	case w.Inode == ext4.Journal:
		return evidence.Leak{In: "the journal"}, nil
	case w.Meta || w.Inode == 0:
		return evidence.Leak{In: "metadata"}, nil
	case live == "":
		return evidence.Leak{In: "a file without a name"}, nil
	case w.Past:
		return evidence.Leak{In: "behind the end of", Path: live}, nil
	case a.fromPackage(a.paths[w.Inode]):
		return evidence.Leak{In: "file", Path: live, Severity: evidence.LeakNote}, nil
	}
	return evidence.Leak{In: "file", Path: live}, nil
}
